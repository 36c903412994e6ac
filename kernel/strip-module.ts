/**
 * Takes the debugging sections out of a kernel module. Debian's UML modules carry them, five sixths
 * of their size, and a guest would read them into its RAM each time it loads one.
 *
 * Sections keep their numbers, so nothing that refers to one by number (symbols, relocations) has
 * to change: the debugging ones become empty, the others move together. Source: elf(5).
 */

// Elf64_Ehdr
const E_TYPE = 0x10;
const E_SHOFF = 0x28;
const E_SHENTSIZE = 0x3a;
const E_SHNUM = 0x3c;
const E_SHSTRNDX = 0x3e;
const ELF_HEADER_BYTES = 64;
const ET_REL = 1;

// Elf64_Shdr
const SH_NAME = 0x00;
const SH_TYPE = 0x04;
const SH_FLAGS = 0x08;
const SH_OFFSET = 0x18;
const SH_SIZE = 0x20;
const SH_ADDRALIGN = 0x30;
const SECTION_HEADER_BYTES = 64;
const SHT_NULL = 0;
const SHT_NOBITS = 8;

const DEBUGGING = /^(\.rela)?\.(debug|stab|gnu\.debug)/;

/** The module without its debugging sections; as it is where it is no 64-bit relocatable file. */
export function stripModule(module: Buffer): Buffer {
  const isElf64 = module.length > ELF_HEADER_BYTES && module.readUInt32BE(0) === 0x7f454c46;
  if (!isElf64 || module[4] !== 2 || module[5] !== 1 || module.readUInt16LE(E_TYPE) !== ET_REL) {
    return module;
  }
  const at = Number(module.readBigUInt64LE(E_SHOFF));
  const count = module.readUInt16LE(E_SHNUM);
  if (module.readUInt16LE(E_SHENTSIZE) !== SECTION_HEADER_BYTES || count === 0) return module;
  if (at + count * SECTION_HEADER_BYTES > module.length) return module;
  const headers = Buffer.from(module.subarray(at, at + count * SECTION_HEADER_BYTES));
  const header = (index: number) =>
    headers.subarray(index * SECTION_HEADER_BYTES, (index + 1) * SECTION_HEADER_BYTES);
  const field = (index: number, offset: number) => Number(header(index).readBigUInt64LE(offset));
  const names = field(module.readUInt16LE(E_SHSTRNDX), SH_OFFSET);
  const nameOf = (index: number) => {
    const start = names + header(index).readUInt32LE(SH_NAME);
    return module.toString("latin1", start, module.indexOf(0, start));
  };

  const out = Buffer.alloc(module.length + 64);
  let end = module.copy(out, 0, 0, ELF_HEADER_BYTES);
  for (let index = 1; index < count; index++) {
    const section = header(index);
    if (DEBUGGING.test(nameOf(index))) {
      section.writeUInt32LE(SHT_NULL, SH_TYPE);
      section.fill(0, SH_FLAGS);
      continue;
    }
    const from = field(index, SH_OFFSET);
    const size = section.readUInt32LE(SH_TYPE) === SHT_NOBITS ? 0 : field(index, SH_SIZE);
    end = align(end, Math.min(field(index, SH_ADDRALIGN) || 1, 64));
    section.writeBigUInt64LE(BigInt(end), SH_OFFSET);
    if (end + size + headers.length > out.length || from + size > module.length) return module;
    end += module.copy(out, end, from, from + size);
  }
  end = align(end, 8);
  if (end + headers.length > out.length) return module;
  out.writeBigUInt64LE(BigInt(end), E_SHOFF);
  end += headers.copy(out, end);
  return out.subarray(0, end);
}

const align = (offset: number, to: number): number => Math.ceil(offset / to) * to;
