import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import * as protocol from "../../kernel/agent/protocol.ts";

const { encodeExec, encodeFrame, encodeWrite, FrameReader } = protocol;

describe("agent protocol", () => {
  it("has the same numbers in C", () => {
    const header = readFileSync(join(packageRoot, "kernel/agent/protocol.h"), "utf8");
    const inC = new Map(
      [...header.matchAll(/^#define (\w+) (\d+)$/gm)].map(([, name, value]) => [
        name as string,
        Number(value),
      ]),
    );
    const inTypeScript = new Map<string, number>();
    for (const [name, value] of Object.entries(protocol)) {
      if (typeof value === "number") inTypeScript.set(name, value);
      else if (typeof value === "object") {
        for (const [key, number] of Object.entries(value)) {
          inTypeScript.set(`${name}_${key}`, number as number);
        }
      }
    }
    expect([...inC].sort()).to.deep.equal([...inTypeScript].sort());
  });

  it("cuts frames wherever the chunks end", () => {
    const frames = [
      { channel: 3, type: 16, stream: 1, payload: Buffer.from("hello") },
      { channel: 513, type: 33, stream: 0, payload: Buffer.alloc(0) },
      { channel: 0, type: 16, stream: 2, payload: Buffer.alloc(300, 7) },
    ];
    const bytes = Buffer.concat(frames.map((frame) => encodeFrame(frame)));
    for (const size of [1, 7, 8, 9, 64, bytes.length]) {
      const reader = new FrameReader();
      const seen: protocol.Frame[] = [];
      for (let at = 0; at < bytes.length; at += size) {
        reader.push(bytes.subarray(at, at + size), (frame) => seen.push(frame));
      }
      expect(seen, `in chunks of ${size}`).to.deep.equal(frames);
    }
  });

  it("refuses what can't be a frame", () => {
    const bytes = encodeFrame({ channel: 0, type: 1, stream: 0, payload: Buffer.alloc(0) });
    bytes.writeUInt32LE(protocol.MAX_PAYLOAD + 1, 4);
    expect(() => new FrameReader().push(bytes, () => {})).to.throw("65537 bytes");
  });

  it("encodes a command", () => {
    const payload = encodeExec({
      flags: 2,
      columns: 80,
      rows: 24,
      cwd: "/tmp",
      argv: ["ls", ""],
      env: { A: "b=c" },
    });
    expect(payload.toString("latin1")).to.equal(
      "\x02\0\x50\0\x18\0\x02\0\x01\0/tmp\0ls\0\0A=b=c\0",
    );
  });

  it("encodes whom a command runs as", () => {
    const command = { flags: 8, columns: 0, rows: 0, cwd: "/", argv: ["id"], env: {} };
    const payload = encodeExec({ ...command, user: { uid: 1000, gid: 65536, groups: [4, 5] } });
    expect(payload.toString("latin1")).to.equal(
      "\x18\x02\0\0\0\0\x01\0\0\0\xe8\x03\0\0\0\0\x01\0\x04\0\0\0\x05\0\0\0/\0id\0",
    );
    const groups = Array.from({ length: 256 }, (_, id) => id);
    expect(() => encodeExec({ ...command, user: { uid: 1, gid: 1, groups } })).to.throw(
      "more than 255 groups",
    );
  });

  it("refuses zero bytes and what is too long", () => {
    const command = { flags: 0, columns: 0, rows: 0, cwd: "", env: {} };
    expect(() => encodeExec({ ...command, argv: ["a\0b"] })).to.throw(RangeError);
    expect(() => encodeExec({ ...command, argv: ["x".repeat(65536)] })).to.throw("too long");
  });

  it("encodes a file to write", () => {
    expect(encodeWrite(3, 0o4755, "/a").toString("hex")).to.equal("0300ed092f6100");
  });
});
