import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { expect } from "chai";
import {
  encodeFrame,
  encodeU32,
  FRAME,
  type Frame,
  HEADER_BYTES,
  INBOX_BYTES,
  LINE_WINDOW,
  PROTOCOL_VERSION,
} from "../../kernel/agent/protocol.ts";
import { Line } from "../../kernel/guest/line.ts";

/** A guest's side of the line: what was written to it, and a way to say something. */
class FakeGuest extends Duplex {
  written: Buffer = Buffer.alloc(0);
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written = Buffer.concat([this.written, chunk]);
    done();
  }
  say(type: number, payload: Uint8Array): void {
    this.push(encodeFrame({ channel: 0, type, stream: 0, payload }));
  }
  /** The frames on the line so far; a long one with its place as payload. */
  get frames(): { type: number; length: number; payload: Buffer }[] {
    const frames = [];
    for (let at = 0; at < this.written.length; ) {
      const type = this.written[at + 2] as number;
      const length = this.written.readUInt32LE(at + 4);
      const size = type & FRAME.LONG ? 4 : length;
      const payload = this.written.subarray(at + HEADER_BYTES, at + HEADER_BYTES + size);
      frames.push({ type, length, payload });
      at += HEADER_BYTES + size;
    }
    return frames;
  }
}

/** Long enough for streams to pass on what they have. */
async function turn(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve));
}
const hello = Buffer.concat([encodeU32(PROTOCOL_VERSION), encodeU32(0xabcd)]);

describe("line to a guest", () => {
  let folder: string;
  let inbox: number;
  let guest: FakeGuest;
  let line: Line;
  let ended: Error | undefined;
  let hellos: number;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "uml-lab-line-"));
    inbox = openSync(join(folder, "inbox"), "w+");
    guest = new FakeGuest();
    ended = undefined;
    hellos = 0;
    line = new Line(guest, inbox, {
      onFrame: () => {},
      onHello: () => hellos++,
      onEnd: (error) => {
        ended = error;
      },
    });
  });
  afterEach(() => {
    guest.destroy();
    rmSync(folder, { recursive: true });
  });

  const data = (payload: Uint8Array): Frame => ({
    channel: 1,
    type: FRAME.DATA,
    stream: 0,
    payload,
  });

  it("says nothing before HELLO, then START with its nonce first", async () => {
    line.send(data(Buffer.from("lost: there is no agent yet")));
    await turn();
    expect(guest.written.length).to.equal(0);
    guest.say(FRAME.HELLO, hello);
    await turn();
    line.send(data(Buffer.from("x")));
    await turn();
    expect(hellos).to.equal(1);
    expect(guest.frames.map(({ type }) => type)).to.deep.equal([FRAME.START, FRAME.DATA]);
    expect(guest.frames[0]?.payload.readUInt32LE()).to.equal(0xabcd);
  });

  it("never has more than the window on the line, and goes on when it is taken", async () => {
    guest.say(FRAME.HELLO, hello);
    await turn();
    let left = 100;
    for (let i = 0; i < 100; i++) line.send(data(Buffer.alloc(300, i)), () => left--);
    await turn();
    for (let taken = 0; guest.written.length > taken; ) {
      expect(guest.written.length - taken).to.be.at.most(LINE_WINDOW);
      const written = guest.written.length;
      guest.say(FRAME.TAKEN, encodeU32(written - taken));
      taken = written;
      await turn();
    }
    expect(left).to.equal(0);
    expect(guest.frames.slice(1).map(({ payload }) => payload[299])).to.deep.equal(
      Array.from({ length: 100 }, (_, i) => i),
    );
  });

  it("sends long payloads through the inbox, and never over one that is not taken", async () => {
    guest.say(FRAME.HELLO, hello);
    await turn();
    const total = 60;
    for (let i = 0; i < total; i++) line.send(data(Buffer.alloc(40_000 + i, i)));
    await turn();
    let seen = 1; // START
    let taken = HEADER_BYTES + 4;
    guest.say(FRAME.TAKEN, encodeU32(taken));
    while (seen < 1 + total) {
      await turn();
      const waiting = guest.frames.slice(seen);
      expect(waiting.length).to.be.greaterThan(0);
      expect(waiting.length * 40_000).to.be.lessThan(INBOX_BYTES);
      const content = readFileSync(join(folder, "inbox"));
      for (const { type, length, payload } of waiting) {
        expect(type).to.equal(FRAME.DATA | FRAME.LONG);
        const place = payload.readUInt32LE();
        const bytes = content.subarray(place, place + length);
        expect(bytes.equals(Buffer.alloc(40_000 + seen - 1, seen - 1))).to.equal(true);
        seen++;
      }
      const written = guest.written.length;
      guest.say(FRAME.TAKEN, encodeU32(written - taken));
      taken = written;
    }
  });

  it("starts anew after a reboot", async () => {
    guest.say(FRAME.HELLO, hello);
    await turn();
    for (let i = 0; i < 100; i++) line.send(data(Buffer.alloc(300)));
    await turn();
    guest.written = Buffer.alloc(0);
    guest.say(FRAME.HELLO, hello);
    await turn();
    line.send(data(Buffer.from("new")));
    await turn();
    expect(hellos).to.equal(2);
    expect(guest.frames.map(({ type, length }) => [type, length])).to.deep.equal([
      [FRAME.START, 4],
      [FRAME.DATA, 3],
    ]);
  });

  it("ends when the guest is gone or speaks something else", async () => {
    guest.say(FRAME.HELLO, Buffer.concat([encodeU32(99), encodeU32(1)]));
    await turn();
    expect(ended?.message).to.include("version 99");
    let called = false;
    line.send(data(Buffer.from("x")), () => {
      called = true;
    });
    expect(called).to.equal(true);
  });
});
