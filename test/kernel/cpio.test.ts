import { expect } from "chai";
import { makeCpio } from "../../kernel/initramfs/cpio.ts";

/** An independent reader: what the kernel would unpack. */
function unpack(archive: Buffer) {
  const entries: { name: string; mode: number; rdev: string; content: string }[] = [];
  for (let at = 0; ; ) {
    expect(at % 4).to.equal(0);
    expect(archive.toString("latin1", at, at + 6)).to.equal("070701");
    const field = (i: number) =>
      Number.parseInt(archive.toString("latin1", at + 6 + 8 * i, at + 14 + 8 * i), 16);
    const nameStart = at + 110;
    const name = archive.toString("utf8", nameStart, nameStart + field(11) - 1);
    expect(archive[nameStart + field(11) - 1]).to.equal(0);
    const start = (nameStart + field(11) + 3) & ~3;
    if (name === "TRAILER!!!") return { entries, end: start };
    const content = archive.toString("utf8", start, start + field(6));
    entries.push({ name, mode: field(1), rdev: `${field(9)}:${field(10)}`, content });
    at = (start + field(6) + 3) & ~3;
  }
}

describe("cpio", () => {
  it("holds folders, files, links and devices as the kernel reads them", () => {
    const archive = makeCpio([
      { path: "dev", type: "folder", mode: 0o755 },
      { path: "dev/console", type: "character device", mode: 0o600, major: 5, minor: 1 },
      { path: "init", type: "file", mode: 0o755, content: Buffer.from("12345") },
      { path: "link", type: "link", target: "init" },
      { path: "empty", type: "file", mode: 0o600, content: new Uint8Array() },
    ]);
    const { entries, end } = unpack(archive);
    expect(end).to.equal(archive.length);
    expect(entries).to.deep.equal([
      { name: "dev", mode: 0o040755, rdev: "0:0", content: "" },
      { name: "dev/console", mode: 0o020600, rdev: "5:1", content: "" },
      { name: "init", mode: 0o100755, rdev: "0:0", content: "12345" },
      { name: "link", mode: 0o120777, rdev: "0:0", content: "init" },
      { name: "empty", mode: 0o100600, rdev: "0:0", content: "" },
    ]);
  });

  it("is the same for the same entries", () => {
    const entry = { path: "a", type: "file", mode: 0o644, content: Buffer.from("x") } as const;
    expect(makeCpio([entry])).to.deep.equal(makeCpio([entry]));
  });
});
