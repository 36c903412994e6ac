/**
 * Gives a stripped kernel a symbol table again, from what the kernel itself knows of its functions
 * (/proc/kallsyms): for debuggers, so that breakpoints and back traces by name work. Source lines and
 * types are not in it. Pure.
 *
 *     the executable as it was | .symtab | .strtab | names of sections | section headers
 *
 * Source: elf(5).
 */

// Elf64_Ehdr
const E_SHOFF = 0x28;
const E_SHENTSIZE = 0x3a;
const E_SHNUM = 0x3c;
const E_SHSTRNDX = 0x3e;
const ELF_HEADER_BYTES = 64;

// Elf64_Shdr
const SH_NAME = 0x00;
const SH_TYPE = 0x04;
const SH_FLAGS = 0x08;
const SH_ADDR = 0x10;
const SH_OFFSET = 0x18;
const SH_SIZE = 0x20;
const SH_LINK = 0x28;
const SH_INFO = 0x2c;
const SH_ADDRALIGN = 0x30;
const SH_ENTSIZE = 0x38;
const SECTION_HEADER_BYTES = 64;
const SHT_SYMTAB = 2;
const SHT_STRTAB = 3;
const SHF_EXECUTABLE = 4;

// Elf64_Sym
const SYMBOL_BYTES = 24;
const GLOBAL = 1 << 4;
const FUNCTION = 2;

export interface KernelSymbol {
  readonly address: number;
  readonly global: boolean;
  readonly name: string;
}

/** Names that the linker gave to ends of sections: a function that begins there is what is meant. */
const MARKS = /_text_(start|end)$|^_[se]?(init)?text$/;

/** Functions in the lines of /proc/kallsyms (`00000000600017dd T start_kernel`), by address. Modules' are left out. */
export function parseKallsyms(text: string): KernelSymbol[] {
  const found = new Map<string, KernelSymbol>();
  for (const line of text.split(/\r?\n/)) {
    const parts = /^([0-9a-f]{16}) ([tTwW]) (\S+)$/.exec(line);
    if (parts === null || MARKS.test(parts[3] as string)) continue;
    const [, address, kind, name] = parts as unknown as [string, string, string, string];
    // the same twice at one place is one
    found.set(`${address} ${name}`, {
      address: Number.parseInt(address, 16),
      global: /[TW]/.test(kind),
      name,
    });
  }
  return [...found.values()].sort((a, b) => a.address - b.address);
}

/** Whether an executable has a symbol table; undefined where it is no 64-bit ELF. */
export function hasSymbols(executable: Buffer): boolean | undefined {
  return headersOf(executable)?.some((header) => header.readUInt32LE(SH_TYPE) === SHT_SYMTAB);
}

/** The executable with the symbols; undefined where it is no 64-bit ELF. */
export function addSymbols(
  executable: Buffer,
  symbols: readonly KernelSymbol[],
): Buffer | undefined {
  const old = headersOf(executable);
  const oldNames = old?.[executable.readUInt16LE(E_SHSTRNDX)];
  if (old === undefined || oldNames === undefined) return undefined;
  const { table, strings, firstGlobal } = symbolTable(symbols, old);
  const namesFrom = fieldOf(oldNames, SH_OFFSET);
  const names = Buffer.concat([
    executable.subarray(namesFrom, namesFrom + fieldOf(oldNames, SH_SIZE)),
    Buffer.from(".symtab\0.strtab\0"),
  ]);
  const symtabName = names.length - ".symtab\0.strtab\0".length;
  const tableAt = align(executable.length, 8);
  const stringsAt = tableAt + table.length;
  const namesAt = stringsAt + strings.length;
  const headersAt = align(namesAt + names.length, 8);

  const headers = Buffer.concat([...old, Buffer.alloc(3 * SECTION_HEADER_BYTES)]);
  const added = (index: number, name: number, type: number, at: number, bytes: number) => {
    const header = headers.subarray((old.length + index) * SECTION_HEADER_BYTES);
    header.writeUInt32LE(name, SH_NAME);
    header.writeUInt32LE(type, SH_TYPE);
    header.writeBigUInt64LE(BigInt(at), SH_OFFSET);
    header.writeBigUInt64LE(BigInt(bytes), SH_SIZE);
    header.writeBigUInt64LE(8n, SH_ADDRALIGN);
    return header;
  };
  const symtab = added(0, symtabName, SHT_SYMTAB, tableAt, table.length);
  symtab.writeUInt32LE(old.length + 1, SH_LINK);
  symtab.writeUInt32LE(firstGlobal, SH_INFO);
  symtab.writeBigUInt64LE(BigInt(SYMBOL_BYTES), SH_ENTSIZE);
  added(1, symtabName + ".symtab\0".length, SHT_STRTAB, stringsAt, strings.length);
  added(2, oldNames.readUInt32LE(SH_NAME), SHT_STRTAB, namesAt, names.length);

  const out = Buffer.alloc(headersAt + headers.length);
  executable.copy(out);
  table.copy(out, tableAt);
  strings.copy(out, stringsAt);
  names.copy(out, namesAt);
  headers.copy(out, headersAt);
  out.writeBigUInt64LE(BigInt(headersAt), E_SHOFF);
  out.writeUInt16LE(old.length + 3, E_SHNUM);
  out.writeUInt16LE(old.length + 2, E_SHSTRNDX);
  return out;
}

/** Local symbols stand before global ones (elf(5), sh_info). A function reaches up to the next. */
function symbolTable(symbols: readonly KernelSymbol[], headers: readonly Buffer[]) {
  const sections = headers.flatMap((header, index) => {
    if ((fieldOf(header, SH_FLAGS) & SHF_EXECUTABLE) === 0) return [];
    const from = fieldOf(header, SH_ADDR);
    return [{ index, from, to: from + fieldOf(header, SH_SIZE) }];
  });
  let end = Number.MAX_SAFE_INTEGER;
  let above = Number.MAX_SAFE_INTEGER;
  const placed = symbols.toReversed().flatMap(({ address, global, name }) => {
    if (address < above) {
      end = above;
      above = address;
    }
    const section = sections.find(({ from, to }) => address >= from && address < to);
    return section === undefined
      ? []
      : [
          {
            address,
            global,
            name,
            section: section.index,
            size: Math.min(end, section.to) - address,
          },
        ];
  });
  const locals = placed.filter(({ global }) => !global);
  const table = Buffer.alloc((1 + placed.length) * SYMBOL_BYTES);
  const strings: string[] = [""];
  let length = 1;
  for (const [i, one] of [...locals, ...placed.filter(({ global }) => global)].entries()) {
    const at = (i + 1) * SYMBOL_BYTES;
    table.writeUInt32LE(length, at);
    table.writeUInt8((one.global ? GLOBAL : 0) | FUNCTION, at + 4);
    table.writeUInt16LE(one.section, at + 6);
    table.writeBigUInt64LE(BigInt(one.address), at + 8);
    table.writeBigUInt64LE(BigInt(one.size), at + 16);
    strings.push(one.name);
    length += one.name.length + 1;
  }
  return {
    table,
    strings: Buffer.from(`${strings.join("\0")}\0`, "latin1"),
    firstGlobal: 1 + locals.length,
  };
}

/** Its section headers, the first of which means nothing. */
function headersOf(elf: Buffer): Buffer[] | undefined {
  const isElf64 = elf.length > ELF_HEADER_BYTES && elf.readUInt32BE(0) === 0x7f454c46;
  if (!isElf64 || elf[4] !== 2 || elf[5] !== 1) return undefined;
  const at = Number(elf.readBigUInt64LE(E_SHOFF));
  const count = elf.readUInt16LE(E_SHNUM);
  if (elf.readUInt16LE(E_SHENTSIZE) !== SECTION_HEADER_BYTES || count === 0) return undefined;
  if (at + count * SECTION_HEADER_BYTES > elf.length) return undefined;
  return Array.from({ length: count }, (_, index) =>
    elf.subarray(at + index * SECTION_HEADER_BYTES, at + (index + 1) * SECTION_HEADER_BYTES),
  );
}

const fieldOf = (header: Buffer, offset: number): number => Number(header.readBigUInt64LE(offset));
const align = (offset: number, to: number): number => Math.ceil(offset / to) * to;
