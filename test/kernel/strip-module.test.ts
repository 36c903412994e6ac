import { expect } from "chai";
import { stripModule } from "../../kernel/strip-module.ts";

interface Section {
  readonly name: string;
  readonly type: number;
  readonly align: number;
  readonly content: string;
}

const PROGBITS = 1;
const STRTAB = 3;
const NOBITS = 8;

/** A relocatable ELF of these sections, with its section names last. */
function makeModule(sections: readonly Section[]): Buffer {
  const names = ["", ...sections.map(({ name }) => name), ".shstrtab"];
  const table = Buffer.from(names.map((name) => `${name}\0`).join(""), "latin1");
  const offsetOf = (index: number) => names.slice(0, index).join("\0").length + (index > 0 ? 1 : 0);
  const all = [
    { name: "", type: 0, align: 0, content: "" },
    ...sections,
    { name: ".shstrtab", type: STRTAB, align: 1, content: table.toString("latin1") },
  ];
  const header = Buffer.alloc(64);
  header.write("7f454c46020101", 0, "hex");
  header.writeUInt16LE(1, 0x10);
  const parts: Buffer[] = [header];
  let at = 64;
  const headers = all.map(({ type, align, content }, index) => {
    const entry = Buffer.alloc(64);
    if (index === 0) return entry;
    entry.writeUInt32LE(offsetOf(index), 0);
    entry.writeUInt32LE(type, 4);
    const padding = (align - (at % align)) % align;
    parts.push(Buffer.alloc(padding));
    at += padding;
    entry.writeBigUInt64LE(BigInt(at), 0x18);
    entry.writeBigUInt64LE(BigInt(type === NOBITS ? 4096 : content.length), 0x20);
    entry.writeBigUInt64LE(BigInt(align), 0x30);
    parts.push(Buffer.from(type === NOBITS ? "" : content, "latin1"));
    at += type === NOBITS ? 0 : content.length;
    return entry;
  });
  header.writeBigUInt64LE(BigInt(at), 0x28);
  header.writeUInt16LE(64, 0x3a);
  header.writeUInt16LE(all.length, 0x3c);
  header.writeUInt16LE(all.length - 1, 0x3e);
  return Buffer.concat([...parts, ...headers]);
}

function readSections(module: Buffer) {
  const at = Number(module.readBigUInt64LE(0x28));
  return Array.from({ length: module.readUInt16LE(0x3c) }, (_, index) => {
    const entry = module.subarray(at + index * 64, at + (index + 1) * 64);
    const offset = Number(entry.readBigUInt64LE(0x18));
    const type = entry.readUInt32LE(4);
    const size = Number(entry.readBigUInt64LE(0x20));
    const content = type === NOBITS ? "" : module.toString("latin1", offset, offset + size);
    return { type, offset, size, content };
  });
}

describe("stripping a module", () => {
  const module = makeModule([
    { name: ".text", type: PROGBITS, align: 16, content: "code".repeat(10) },
    { name: ".debug_info", type: PROGBITS, align: 1, content: "d".repeat(5000) },
    { name: ".rela.debug_info", type: 4, align: 8, content: "r".repeat(2400) },
    { name: ".bss", type: NOBITS, align: 8, content: "" },
    { name: ".data", type: PROGBITS, align: 32, content: "data" },
  ]);

  it("empties the debugging sections and keeps the others where they were numbered", () => {
    const stripped = stripModule(module);
    expect(stripped.length).to.be.lessThan(module.length - 7000);
    const before = readSections(module);
    const after = readSections(stripped);
    expect(after).to.have.length(before.length);
    for (const kept of [1, 4, 5, 6]) {
      expect(after[kept]?.content, `section ${kept}`).to.equal(before[kept]?.content);
      expect(after[kept]?.type).to.equal(before[kept]?.type);
    }
    expect(after[4]?.size).to.equal(4096);
    for (const gone of [2, 3]) {
      expect(after[gone]).to.include({ type: 0, size: 0, content: "" });
    }
    expect((after[1]?.offset ?? 1) % 16).to.equal(0);
    expect((after[5]?.offset ?? 1) % 32).to.equal(0);
  });

  it("changes nothing the second time", () => {
    const once = stripModule(module);
    expect(readSections(stripModule(once))).to.deep.equal(readSections(once));
  });

  it("leaves alone what is no module, or a damaged one", () => {
    for (const other of [Buffer.from("hello"), Buffer.alloc(200), module.subarray(0, 300)]) {
      expect(stripModule(other)).to.equal(other);
    }
    const wild = Buffer.from(module);
    wild.writeBigUInt64LE(0xffffffffn, Number(module.readBigUInt64LE(0x28)) + 64 + 0x18);
    expect(stripModule(wild)).to.equal(wild);
  });
});
