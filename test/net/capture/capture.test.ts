import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Random } from "../../../base/random.ts";
import { Capture } from "../../../net/capture/capture.ts";
import { Output, rotatedPath } from "../../../net/capture/output.ts";
import {
  BLOCK_INTERFACE,
  BLOCK_PACKET,
  BLOCK_SECTION,
  BLOCK_STATISTICS,
  CaptureClock,
  OUTBOUND,
} from "../../../net/capture/pcapng.ts";
import { BlockRing, ENDED, FINISH } from "../../../net/capture/ring.ts";
import type { CaptureSpec } from "../../../net/control/messages.ts";
import { hexOf, TCP4_FRAME, UDP4_FRAME } from "../wire/golden.ts";

interface Block {
  readonly type: number;
  readonly body: Buffer;
}

/** Reads blocks as the specification has them; throws where lengths don't agree. */
function blocksOf(bytes: Uint8Array): Block[] {
  const buffer = Buffer.from(bytes);
  const blocks: Block[] = [];
  for (let at = 0; at < buffer.length; ) {
    const length = buffer.readUInt32LE(at + 4);
    expect(length % 4).to.equal(0);
    expect(buffer.readUInt32LE(at + length - 4)).to.equal(length);
    blocks.push({ type: buffer.readUInt32LE(at), body: buffer.subarray(at + 8, at + length - 4) });
    at += length;
  }
  return blocks;
}

function optionsOf(body: Buffer, start: number): Map<number, Buffer> {
  const options = new Map<number, Buffer>();
  for (let at = start; ; ) {
    const code = body.readUInt16LE(at);
    const length = body.readUInt16LE(at + 2);
    if (code === 0) return options;
    options.set(code, body.subarray(at + 4, at + 4 + length));
    at += 4 + ((length + 3) & ~3);
  }
}

const SPEC: CaptureSpec = { capture: "c", of: { kind: "all" }, output: { path: "/nowhere" } };
const START_NS = 1_795_538_977_766_539_734n;

function captureInto(spec: Partial<CaptureSpec> = {}, ringBytes = 1 << 20) {
  let ring: BlockRing | undefined;
  const capture = new Capture(
    { ...SPEC, ...spec },
    START_NS,
    (made) => {
      ring = made;
    },
    ringBytes,
  );
  return { capture, ring: ring as BlockRing };
}

function drain(ring: BlockRing): Buffer {
  ring.publish();
  const parts: Buffer[] = [];
  for (let part = ring.peek(); part.length > 0; part = ring.peek()) {
    parts.push(Buffer.from(part));
    ring.release(part.length);
  }
  return Buffer.concat(parts);
}

describe("a capture", () => {
  it("is pcapng: a section, interfaces, packets with time and fate, statistics", () => {
    const { capture, ring } = captureInto();
    const id = capture.interface("a:eth0", "link cable");
    expect(capture.interface("a:eth0", "again")).to.equal(id);
    const at = 12_345_678_901;
    capture.record(id, UDP4_FRAME, 0, UDP4_FRAME.length, at, OUTBOUND, Buffer.from("lost"), 1);
    capture.finish(2e9);
    const blocks = blocksOf(drain(ring));
    expect(blocks.map(({ type }) => type)).to.deep.equal([
      BLOCK_SECTION,
      BLOCK_INTERFACE,
      BLOCK_PACKET,
      BLOCK_STATISTICS,
    ]);
    expect(blocks[0]!.body.readUInt32LE(0)).to.equal(0x1a2b3c4d);
    const port = optionsOf(blocks[1]!.body, 8);
    expect(port.get(2)!.toString()).to.equal("a:eth0");
    expect([...port.get(9)!]).to.deep.equal([9]);
    const packet = blocks[2]!.body;
    const time = (BigInt(packet.readUInt32LE(4)) << 32n) | BigInt(packet.readUInt32LE(8));
    expect(time).to.equal(START_NS + BigInt(at));
    expect(packet.readUInt32LE(12)).to.equal(UDP4_FRAME.length);
    expect(packet.readUInt32LE(16)).to.equal(UDP4_FRAME.length);
    expect(hexOf(packet.subarray(20, 20 + UDP4_FRAME.length))).to.equal(hexOf(UDP4_FRAME));
    const options = optionsOf(packet, 20 + 48);
    expect(options.get(1)!.toString()).to.equal("lost");
    expect(options.get(2)!.readUInt32LE(0)).to.equal(OUTBOUND);
    const statistics = optionsOf(blocks[3]!.body, 12);
    expect([
      statistics.get(4)!.readBigUInt64LE(),
      statistics.get(5)!.readBigUInt64LE(),
    ]).to.deep.equal([1n, 0n]);
    expect(ring.state).to.equal(FINISH);
  });

  it("keeps as much of a frame as `snapLength` says, and frames that the filter lets through", () => {
    const { capture, ring } = captureInto({ snapLength: 20, filter: "tcp" });
    const id = capture.interface("a", "");
    for (const frame of [UDP4_FRAME, TCP4_FRAME]) {
      capture.record(id, frame, 0, frame.length, 0, OUTBOUND, undefined, 1);
    }
    const packet = blocksOf(drain(ring))[2]!.body;
    expect([packet.readUInt32LE(12), packet.readUInt32LE(16)]).to.deep.equal([20, 71]);
    expect(capture.counters()).to.deep.equal({ capture: "c", recorded: 1, bytes: 20, missed: 0 });
  });

  it("counts what a slow reader made it miss, and goes on when there is room", () => {
    const { capture, ring } = captureInto({}, 4096);
    const id = capture.interface("a", "");
    const record = () => capture.record(id, UDP4_FRAME, 0, 47, 0, OUTBOUND, undefined, 1);
    for (let i = 0; i < 100; i++) record();
    const { recorded, missed } = capture.counters();
    expect(recorded + missed).to.equal(100);
    expect(missed).to.be.above(0);
    expect(blocksOf(drain(ring)).filter(({ type }) => type === BLOCK_PACKET)).to.have.length(
      recorded,
    );
    record();
    expect(capture.counters().recorded).to.equal(recorded + 1);
  });

  it("tells at its end what it missed, though the reader took nothing", () => {
    const { capture, ring } = captureInto({}, 4096);
    const ids = ["a", "b", "c"].map((name) => capture.interface(name, ""));
    for (let i = 0; i < 300; i++) {
      capture.record(ids[i % 3]!, UDP4_FRAME, 0, 47, 0, OUTBOUND, undefined, 1);
    }
    capture.finish(1);
    const statistics = blocksOf(drain(ring)).filter(({ type }) => type === BLOCK_STATISTICS);
    const dropped = statistics.map(({ body }) => optionsOf(body, 12).get(5)!.readBigUInt64LE());
    expect(dropped).to.have.lengthOf(3);
    expect(dropped.reduce((sum, one) => sum + one)).to.equal(BigInt(capture.counters().missed));
  });

  it("records nothing more when its reader is gone", () => {
    const { capture, ring } = captureInto();
    const id = capture.interface("a", "");
    ring.state = ENDED;
    expect(capture.ended).to.be.true;
    capture.record(id, UDP4_FRAME, 0, 47, 0, OUTBOUND, undefined, 1);
    expect(capture.counters()).to.include({ recorded: 0, missed: 1 });
  });
});

describe("the clock of a capture", () => {
  it("adds beyond 2^53 without losing a nanosecond", () => {
    const random = new Random(4, "times");
    for (let i = 0; i < 1000; i++) {
      const start = START_NS + BigInt(random.uint32());
      const ns = random.uint32() * 1_000_000 + random.below(1_000_000);
      expect(new CaptureClock(start).bigintAt(ns)).to.equal(start + BigInt(ns));
    }
  });
});

describe("the ring between fabric and writer", () => {
  it("gives every block back, in order, through many rounds", () => {
    const ring = BlockRing.ofBytes(1000);
    const random = new Random(9, "ring");
    const sent: string[] = [];
    const got: string[] = [];
    let number = 0;
    const take = () => {
      const part = Buffer.from(ring.peek());
      let at = 0;
      for (let left = random.below(4); left > 0 && at < part.length; left--) {
        const length = part.readUInt32LE(at + 4);
        got.push(part.subarray(at, at + length).toString("hex"));
        at += length;
      }
      ring.release(at);
    };
    for (let i = 0; i < 5000; i++) {
      const block = Buffer.alloc(12 + 4 * random.below(40), ++number);
      block.writeUInt32LE(6, 0);
      block.writeUInt32LE(block.length, 4);
      if (ring.append(block, number)) sent.push(block.toString("hex"));
      if (random.below(2) === 0) ring.publish();
      if (random.below(2) === 0) take();
    }
    ring.publish();
    while (ring.peek().length > 0) take();
    expect(got).to.deep.equal(sent);
    expect(sent.length).to.be.within(1000, 4999);
  });

  it("shows a batch at once, in the order that its blocks were given", () => {
    const ring = BlockRing.ofBytes(4000);
    const random = new Random(3, "orders");
    const seen: number[] = [];
    let whole = 0;
    /** How many pieces there were: two where the memory ended between them. */
    const take = () => {
      let pieces = 0;
      for (let part = ring.peek(); part.length > 0; part = ring.peek(), pieces++) {
        for (const { body } of blocksOf(part)) seen.push(body.readUInt32LE(0));
        ring.release(part.length);
      }
      return pieces;
    };
    const sent: number[] = [];
    for (let first = 0; first < 3000; first += 10) {
      const orders = Array.from({ length: 1 + random.below(9) }, (_, i) => first + i);
      for (const order of orders.toSorted(() => random.below(3) - 1)) {
        const block = Buffer.alloc(16 + 4 * random.below(10));
        block.writeUInt32LE(6, 0);
        block.writeUInt32LE(block.length, 4);
        block.writeUInt32LE(order, 8);
        block.writeUInt32LE(block.length, block.length - 4);
        expect(ring.append(block, order)).to.be.true;
      }
      take();
      expect(seen).to.deep.equal(sent);
      ring.publish();
      const pieces = take();
      sent.push(...orders);
      if (pieces === 1) {
        whole++;
        expect(seen).to.deep.equal(sent);
      } else {
        // each side of the end is in order
        expect(seen.toSorted((one, other) => one - other)).to.deep.equal(sent);
        seen.splice(0, seen.length, ...sent);
      }
    }
    expect(whole).to.be.greaterThan(200);
  });

  it("refuses what is longer than all of it", () => {
    expect(BlockRing.ofBytes(100).append(new Uint8Array(100), 1)).to.be.false;
  });
});

describe("the output of a capture", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "uml-lab-capture-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const never = () => false;

  function someBlocks(packets: number): Buffer {
    const { capture, ring } = captureInto();
    const id = capture.interface("a", "");
    for (let i = 0; i < packets; i++) {
      capture.record(id, UDP4_FRAME, 0, 47, i, OUTBOUND, undefined, 1);
    }
    return drain(ring);
  }

  function writeAll(output: Output, blocks: Uint8Array): void {
    for (let at = 0; at < blocks.length; ) at += output.write(blocks.subarray(at), never);
    output.close();
  }

  it("is what was recorded", () => {
    const path = join(folder, "lab.pcapng");
    const blocks = someBlocks(10);
    writeAll(new Output({ path }), blocks);
    expect(readFileSync(path).equals(blocks)).to.be.true;
  });

  it("rotates: each file is whole, none is too long, the oldest go", () => {
    const path = join(folder, "lab.pcapng");
    writeAll(new Output({ path, rotateBytes: 1000 }), someBlocks(50));
    const names = readdirSync(folder).sort();
    expect(names.length).to.be.within(5, 10);
    let packets = 0;
    for (const name of names) {
      const bytes = readFileSync(join(folder, name));
      expect(bytes.length).to.be.at.most(1000);
      const types = blocksOf(bytes).map(({ type }) => type);
      expect(types.slice(0, 3)).to.deep.equal([BLOCK_SECTION, BLOCK_INTERFACE, BLOCK_PACKET]);
      packets += types.length - 2;
    }
    expect(packets).to.equal(50);
    rmSync(folder, { recursive: true });
    folder = mkdtempSync(join(tmpdir(), "uml-lab-capture-"));
    const again = join(folder, "lab.pcapng");
    writeAll(new Output({ path: again, rotateBytes: 1000, keepFiles: 2 }), someBlocks(50));
    const last = names.length - 1;
    expect(readdirSync(folder).sort()).to.deep.equal(
      [`lab.${last - 1}.pcapng`, `lab.${last}.pcapng`].sort(),
    );
  });

  it("names rotated files by number", () => {
    expect(rotatedPath("/a.b/lab.pcapng", 0)).to.equal("/a.b/lab.pcapng");
    expect(rotatedPath("/a.b/lab.pcapng", 3)).to.equal("/a.b/lab.3.pcapng");
    expect(rotatedPath("/a.b/lab", 3)).to.equal("/a.b/lab.3");
  });

  it("does not follow a symbolic link", () => {
    expect(() => new Output({ path: "/proc/self/exe" })).to.throw();
  });
});
