import { expect } from "chai";
import { addSymbols, hasSymbols, parseKallsyms } from "../../kernel/debug/add-symbols.ts";
import { breakpointsIn, codeOf } from "../../kernel/debug/debugger-left.ts";
import { adviceFor, gdbScript } from "../../kernel/debug/gdb.ts";

const KALLSYMS = `0000000060001000 t set_reset_devices
0000000060001000 T _sinittext
0000000060001000 T _text
00000000600017dd T start_kernel
00000000600017dd T start_kernel
0000000060687c10 T icmp_rcv
0000000060687c40 D some_data
0000000061000000 t virtnet_poll\t[virtio_net]
`;

describe("a debugger's symbols", () => {
  it("are the functions that a kernel tells, once each", () => {
    expect(parseKallsyms(KALLSYMS)).to.deep.equal([
      { address: 0x60001000, global: false, name: "set_reset_devices" },
      { address: 0x600017dd, global: true, name: "start_kernel" },
      { address: 0x60687c10, global: true, name: "icmp_rcv" },
    ]);
  });

  it("stand in an executable that had none, and the rest of it is as it was", () => {
    const stripped = Buffer.concat([program(), sectionHeaders()]);
    expect(hasSymbols(stripped)).to.equal(false);
    const symbols = [
      { address: 0x401000, global: true, name: "start_kernel" },
      { address: 0x401008, global: false, name: "icmp_rcv" },
      { address: 0x500000, global: true, name: "elsewhere" },
    ];
    const given = addSymbols(stripped, symbols) as Buffer;
    expect(hasSymbols(given)).to.equal(true);
    const { offset, bytes } = codeOf(given)[0] as { offset: number; bytes: number };
    expect(given.subarray(offset, offset + bytes)).to.deep.equal(
      stripped.subarray(offset, offset + bytes),
    );
    expect(symbolsOf(given)).to.deep.equal([
      { name: "icmp_rcv", address: 0x401008, size: 8, global: false, section: ".text" },
      { name: "start_kernel", address: 0x401000, size: 8, global: true, section: ".text" },
    ]);
  });

  it("are refused to what is no 64-bit ELF", () => {
    expect(addSymbols(Buffer.alloc(200), [])).to.equal(undefined);
    expect(hasSymbols(Buffer.from("#!/bin/sh"))).to.equal(undefined);
  });
});

describe("what a debugger leaves", () => {
  it("is found where the code has a breakpoint that the file has not", () => {
    const file = Buffer.from([0x90, 0xcc, 0x55, 0x48, 0x89]);
    const memory = Buffer.from([0x90, 0xcc, 0xcc, 0x48, 0xcc]);
    expect(breakpointsIn(memory, file)).to.deep.equal([2, 4]);
    expect(breakpointsIn(file, file)).to.deep.equal([]);
  });

  it("is looked for in code only", () => {
    expect(codeOf(program())).to.deep.equal([{ offset: 0x1000, address: 0x401000, bytes: 16 }]);
  });
});

describe("gdb's first words", () => {
  const symbols = { file: "/cache/linux", what: "functions", helpers: undefined } as const;
  const process = { pid: 4711, startTime: "1" };

  it("load the symbols before it attaches, and let UML's signals pass", () => {
    const lines = gdbScript(symbols, { process, held: false }).split("\n");
    const at = (start: string) => lines.findIndex((line) => line.startsWith(start));
    expect(at('file "/cache/linux"')).to.be.within(0, at("attach 4711") - 1);
    expect(at("handle SIGSEGV")).to.be.within(0, at("attach 4711") - 1);
    expect(lines.join()).not.to.include("start_kernel");
  });

  it("go on to where the kernel begins, if it has not begun", () => {
    const text = gdbScript(symbols, { process, held: true });
    expect(text).to.match(/attach 4711\ntbreak start_kernel\ncontinue\n$/);
  });

  it("load the helpers where there are some, before the kernel goes on", () => {
    const text = gdbScript({ ...symbols, helpers: "/cache/x.py" }, { process, held: true });
    expect(text).to.match(/attach 4711\n.*run_path\("\/cache\/x\.py".*\ntbreak start_kernel\n/s);
    expect(gdbScript(symbols, { process, held: true })).not.to.include("python");
  });

  it("are refused with advice that fits Yama", () => {
    expect(adviceFor(undefined)).to.match(/who started/);
    expect(adviceFor(1)).to.match(/who started/);
    expect(adviceFor(2)).to.include("sysctl kernel.yama.ptrace_scope=1");
    expect(adviceFor(3)).to.match(/next boot/);
  });
});

/** Sixteen bytes of code at 0x401000, and a segment of data. elf(5) */
function program(): Buffer {
  const elf = Buffer.alloc(0x1010);
  elf.write("7f454c46020101", 0, "hex");
  elf.writeUInt16LE(2, 0x10);
  elf.writeUInt16LE(62, 0x12);
  elf.writeUInt32LE(1, 0x14);
  elf.writeBigUInt64LE(64n, 0x20);
  elf.writeBigUInt64LE(0x1010n, 0x28);
  elf.writeUInt16LE(64, 0x34);
  elf.writeUInt16LE(56, 0x36);
  elf.writeUInt16LE(2, 0x38);
  elf.writeUInt16LE(64, 0x3a);
  elf.writeUInt16LE(3, 0x3c);
  elf.writeUInt16LE(2, 0x3e);
  for (const [at, flags, offset, address, bytes] of [
    [64, 5, 0x1000n, 0x401000n, 16n],
    [120, 7, 0n, 0x402000n, 0n],
  ] as const) {
    elf.writeUInt32LE(1, at);
    elf.writeUInt32LE(flags, at + 4);
    elf.writeBigUInt64LE(offset, at + 8);
    elf.writeBigUInt64LE(address, at + 16);
    elf.writeBigUInt64LE(bytes, at + 32);
  }
  elf.fill(0x90, 0x1000);
  return elf;
}

/** For `program`: none, .text, .shstrtab. */
function sectionHeaders(): Buffer {
  const names = Buffer.from("\0.text\0.shstrtab\0");
  const headers = Buffer.alloc(3 * 64);
  const set = (
    index: number,
    type: number,
    flags: bigint,
    at: bigint,
    offset: number,
    size: number,
  ) => {
    const header = headers.subarray(index * 64);
    header.writeUInt32LE(index === 1 ? 1 : 7, 0);
    header.writeUInt32LE(type, 4);
    header.writeBigUInt64LE(flags, 8);
    header.writeBigUInt64LE(at, 16);
    header.writeBigUInt64LE(BigInt(offset), 24);
    header.writeBigUInt64LE(BigInt(size), 32);
  };
  set(1, 1, 6n, 0x401000n, 0x1000, 16);
  set(2, 3, 0n, 0n, 0x1010 + headers.length, names.length);
  return Buffer.concat([headers, names]);
}

/** As elf(5) says that a debugger reads them. */
function symbolsOf(elf: Buffer) {
  const number = (at: number) => Number(elf.readBigUInt64LE(at));
  const headers = Array.from(
    { length: elf.readUInt16LE(0x3c) },
    (_, index) => number(0x28) + index * 64,
  );
  const text = (strings: number, at: number) => {
    const start = number((headers[strings] as number) + 24) + at;
    return elf.toString("latin1", start, elf.indexOf(0, start));
  };
  const nameOf = (section: number) =>
    text(elf.readUInt16LE(0x3e), elf.readUInt32LE(headers[section] as number));
  const table = headers.findIndex((_, index) => nameOf(index) === ".symtab");
  const header = headers[table] as number;
  const count = number(header + 32) / 24;
  const symbols = Array.from({ length: count - 1 }, (_, index) => {
    const at = number(header + 24) + (index + 1) * 24;
    return {
      name: text(elf.readUInt32LE(header + 40), elf.readUInt32LE(at)),
      address: number(at + 8),
      size: number(at + 16),
      global: elf.readUInt8(at + 4) >> 4 === 1,
      section: nameOf(elf.readUInt16LE(at + 6)),
    };
  });
  // elf(5), sh_info: the first that is not local
  const firstGlobal = elf.readUInt32LE(header + 44);
  expect(symbols.map(({ global }) => global)).to.deep.equal(
    symbols.map((_, index) => index + 1 >= firstGlobal),
  );
  return symbols;
}
