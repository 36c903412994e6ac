/** A TAP of the host on a switch, with the host in memory. */

import { expect } from "chai";
import { Random } from "../../base/random.ts";
import * as virtio from "../../net/virtio/constants.ts";
import type { FakeTap } from "./driver/fake-tap.ts";
import { type Header, type MockGuest, writeHeader } from "./driver/mock-guest.ts";
import { BROADCAST, frameOf, MockLab, mac } from "./driver/mock-lab.ts";
import { internetSum, pseudoHeader, tcpFrame } from "./driver/tcp-frame.ts";

const [A, B, HOST] = [mac(1), mac(2), mac(9)] as const;
const HEADER = virtio.NET_HEADER_BYTES;

interface Laid {
  readonly lab: MockLab;
  readonly a: MockGuest;
  readonly b: MockGuest;
  readonly tap: FakeTap;
}

function laid(options: Parameters<typeof MockLab.star>[1] = {}): Laid {
  const { lab, guests } = MockLab.star(["a", "b"], options);
  const [a, b] = guests as [MockGuest, MockGuest];
  const tap = lab.addTap("tap0");
  lab.run();
  return { lab, a, b, tap };
}

/** What the fabric is told when there is something to read. */
function wake({ lab }: Laid): void {
  const worker = lab.workers.at(-1);
  if (worker === undefined) throw new Error("nobody waits at the TAP");
  lab.core.retry(worker);
}

function hostSends(all: Laid, ...frames: readonly Buffer[]): void {
  for (const frame of frames) all.tap.sends(frame);
  wake(all);
  all.lab.run();
}

const fromLab = ({ lab }: Laid) => {
  const one = lab.core.counters().outlets?.find(({ outlet }) => outlet === "lan:tap0");
  if (one === undefined) throw new Error("the TAP is not counted");
  return one;
};

const bytesOf = (guest: MockGuest) => guest.receive().map(({ bytes }) => bytes);

describe("a TAP of the host on a switch", () => {
  it("gets and sends frames like any other port, and is found where it is", () => {
    const all = laid();
    using _ = all.lab;
    hostSends(all, frameOf(BROADCAST, HOST, 60));
    for (const guest of [all.a, all.b]) {
      expect(bytesOf(guest)).to.deep.equal([frameOf(BROADCAST, HOST, 60)]);
    }
    all.a.transmit(frameOf(HOST, A, 100));
    all.lab.run();
    expect(all.tap.got()).to.deep.equal([frameOf(HOST, A, 100)]);
    expect(all.b.receive()).to.deep.equal([]);
    hostSends(all, frameOf(A, HOST, 1514, 3));
    expect(bytesOf(all.a)).to.deep.equal([frameOf(A, HOST, 1514, 3)]);
    expect(all.b.receive()).to.deep.equal([]);
    const link = all.lab.core.counters().links.find((one) => one.link === "lan:tap0");
    expect(link?.directions.map(({ frames }) => frames)).to.deep.equal([1, 2]);
    expect(fromLab(all).fromLab).to.deep.equal({ frames: 1, bytes: 100, drops: {} });
  });

  it("is given a long TCP segment in one piece, with a header that is true", () => {
    const all = laid();
    using _ = all.lab;
    hostSends(all, frameOf(BROADCAST, B, 60)); // B is behind the TAP
    const { frame, header } = tcpFrame(40_000);
    // a hint that means nothing, and bytes behind the packet
    all.a.transmit(Buffer.concat([frame, Buffer.alloc(9)]), {
      header: { ...header, headerBytes: 14 },
    });
    all.lab.run();
    const [written] = all.tap.written;
    const wanted = Buffer.alloc(HEADER);
    writeHeader(wanted, 0, header);
    wanted[10] = 1;
    expect(written?.subarray(0, HEADER)).to.deep.equal(wanted);
    expect(written?.subarray(HEADER).equals(frame)).to.equal(true);
    const frames = Math.ceil(40_000 / 1448);
    expect(fromLab(all).fromLab.frames).to.equal(frames);
    expect(fromLab(all).fromLab.bytes).to.equal(40_000 + frames * 66);
  });

  it("is given everything else as a wire would carry it", () => {
    const all = laid();
    using _ = all.lab;
    hostSends(all, frameOf(BROADCAST, B, 60));
    const { frame, header } = tcpFrame(4000);
    // TCP's checksum elsewhere, or said to be there: cut into frames that are right
    all.a.transmit(frame, { header: { ...header, checksumOffset: 6 } });
    all.a.transmit(frame, { header: { ...header, flags: 0 } });
    const short = tcpFrame(100);
    all.a.transmit(short.frame, { header: { ...short.header, gsoType: 0, gsoSize: 0 } });
    all.lab.run();
    expect(all.tap.written.map((bytes) => bytes.subarray(0, HEADER))).to.deep.equal(
      Array.from({ length: 7 }, () => Buffer.alloc(HEADER)),
    );
    for (const bytes of all.tap.got()) {
      expect(internetSum(pseudoHeader(bytes), bytes.subarray(34))).to.equal(0xffff);
    }
  });

  it("is not shown a header that lies, and other frames go on", () => {
    const all = laid();
    using _ = all.lab;
    const { frame, header } = tcpFrame(4000);
    for (const lie of [
      { checksumStart: 36 },
      { gsoType: virtio.NET_HDR_GSO_TCPV6 },
      { gsoType: virtio.NET_HDR_GSO_UDP_L4 },
      { headerBytes: 0xffff },
      { gsoSize: 0 },
      { gsoType: 77 },
    ]) {
      all.a.transmit(frame, { header: { ...header, ...lie } });
      all.lab.run();
      expect(all.tap.got(), JSON.stringify(lie)).to.deep.equal([]);
    }
    all.a.transmit(frameOf(HOST, A));
    all.lab.run();
    expect(all.tap.got()).to.have.length(1);
  });

  it("shows the host nothing that contradicts itself, whatever a guest sends", () => {
    const all = laid();
    using _ = all.lab;
    const random = new Random(1, "tap");
    const one = (...values: readonly number[]) => values[random.below(values.length)] as number;
    let whole = 0;
    for (let round = 0; round < 1000; round++) {
      const { frame, header } = tcpFrame(random.below(9000));
      for (let flips = random.below(3); flips > 0; flips--) {
        frame[random.below(Math.min(frame.length, 80))] = random.below(256);
      }
      const wild: Partial<Header> = {
        flags: one(0, 1, 1, 3, 255),
        gsoType: one(0, 1, 1, 1, 3, 4, 5, 0x81, 0x84, random.below(256)),
        headerBytes: one(66, 54, 14, random.below(0x10000)),
        gsoSize: one(1448, 1448, 0, 1, random.below(0x10000)),
        checksumStart: one(34, 34, random.below(0x10000)),
        checksumOffset: one(16, 16, random.below(0x10000)),
      };
      const cut = one(0, 0, 0, random.below(frame.length - 14));
      all.a.transmit(frame.subarray(0, frame.length - cut), {
        header: { ...header, ...wild },
      });
      all.lab.run();
      for (const bytes of all.tap.written.splice(0)) {
        const length = bytes.length - HEADER;
        expect(length).to.be.within(14, 65_600);
        const [flags, gsoType] = [bytes[0], bytes[1] as number];
        if (gsoType === 0) {
          expect(bytes.subarray(0, HEADER)).to.deep.equal(Buffer.alloc(HEADER));
          continue;
        }
        whole++;
        expect([1, 4, 0x81, 0x84]).to.include(gsoType);
        expect(flags).to.equal(1);
        const start = bytes.readUInt16LE(6);
        expect(bytes.readUInt16LE(8)).to.equal(16);
        expect(bytes.readUInt16LE(4)).to.be.above(0);
        expect(bytes.readUInt16LE(2)).to.be.within(start + 20, length - 1);
      }
      all.b.receive();
      hostSends(all, frameOf(BROADCAST, A, 60)); // else the guest is found behind what it forged
      all.a.receive();
      all.b.receive();
    }
    expect(whole).to.be.above(20);
  });

  it("never holds the lab up: what the host does not take is dropped and counted", () => {
    const all = laid();
    using _ = all.lab;
    for (const reason of ["no-peer", "no-buffer", "malformed"] as const) {
      all.tap.refuses = reason;
      all.a.transmit(frameOf(BROADCAST, A, 64));
      all.lab.run();
      expect(bytesOf(all.b)).to.deep.equal([frameOf(BROADCAST, A, 64)]);
      expect(fromLab(all).fromLab.drops[reason]).to.equal(1);
    }
    all.tap.refuses = undefined;
    all.a.transmit(frameOf(HOST, A));
    all.lab.run();
    expect(all.tap.got()).to.have.length(1);
  });

  it("is let go of when the host deletes it, told once, and the lab goes on", () => {
    for (const how of ["write", "read"]) {
      const all = laid();
      using _ = all.lab;
      if (how === "write") all.tap.refuses = "gone";
      else {
        all.tap.deleted = true;
        wake(all);
      }
      for (let i = 0; i < 2; i++) {
        all.a.transmit(frameOf(BROADCAST, A));
        all.lab.run();
      }
      expect(all.b.receive()).to.have.length(2);
      expect(all.tap.closed).to.equal(true);
      expect(fromLab(all).connected).to.equal(false);
      const told = all.lab.events.flatMap((one) => (one.event === "log" ? [one.message] : []));
      expect(told).to.have.length(1);
      expect(told[0]).to.match(/the TAP tap0 of lan:tap0 is gone/);
      all.lab.core.removeLink("lan:tap0");
    }
  });

  it("waits for a guest that is full, in order, and not for one that takes nothing", () => {
    const all = laid({ guest: { receiveBuffers: 4 } });
    using _ = all.lab;
    all.a.transmit(frameOf(BROADCAST, A));
    all.lab.run();
    all.b.receive({ giveBack: false });
    const frames = Array.from({ length: 12 }, (_, i) => frameOf(A, HOST, 64, i));
    hostSends(all, ...frames);
    const got: Buffer[] = bytesOf(all.a);
    expect(got).to.have.length(4);
    for (let i = 0; i < 5 && got.length < 12; i++) {
      all.a.kick(0);
      all.lab.pass(1);
      got.push(...bytesOf(all.a));
    }
    expect(got).to.deep.equal(frames);
    expect(all.lab.drops("a").to).to.deep.equal({});
    // it takes no more
    hostSends(all, ...frames);
    all.lab.pass(1);
    all.a.receive({ giveBack: false });
    for (let i = 0; i < 40; i++) all.lab.pass(1);
    expect(all.tap.toRead).to.deep.equal([]);
    hostSends(all, frameOf(BROADCAST, HOST));
    expect(Object.keys(all.lab.drops("a").to ?? {})).to.include("stalled");
  });

  it("is read with a budget, and to its end", () => {
    const all = laid();
    using _ = all.lab;
    all.a.transmit(frameOf(BROADCAST, A));
    all.lab.run();
    const frames = Array.from({ length: 200 }, (_, i) => frameOf(A, HOST, 64, i));
    for (const frame of frames) all.tap.sends(frame);
    wake(all);
    expect(all.lab.core.turn()).to.equal(true);
    expect(all.tap.toRead).to.have.length.within(100, 199);
    all.lab.run();
    expect(bytesOf(all.a)).to.deep.equal(frames);
  });

  it("passes long segments of the host on with their header", () => {
    const all = laid();
    using _ = all.lab;
    all.b.transmit(frameOf(BROADCAST, B));
    all.lab.run();
    const { frame, header } = tcpFrame(30_000);
    const written = Buffer.alloc(HEADER);
    writeHeader(written, 0, header);
    all.tap.sends(frame, written);
    wake(all);
    all.lab.run();
    const [got] = all.b.receive();
    expect(got?.bytes.equals(frame)).to.equal(true);
    const { buffers: _buffers, ...rest } = (got as NonNullable<typeof got>).header;
    expect(rest).to.deep.equal(header);
  });

  it("sees its cable pulled, impaired, and taken out", () => {
    const all = laid();
    using _ = all.lab;
    const { core } = all.lab;
    core.setLinkState("lan:tap0", false);
    all.a.transmit(frameOf(BROADCAST, A));
    all.lab.run();
    hostSends(all, frameOf(BROADCAST, HOST));
    expect(all.tap.got()).to.deep.equal([]);
    expect(all.a.receive()).to.deep.equal([]);
    core.setLinkState("lan:tap0", true);
    expect(all.tap.carriers).to.deep.equal([true, false, true]);
    core.setImpairments("lan:tap0", [{ delayNs: 5e6 }, { loss: 1 }]);
    all.a.transmit(frameOf(BROADCAST, A));
    all.lab.run();
    hostSends(all, frameOf(BROADCAST, HOST));
    expect(all.tap.got()).to.deep.equal([]);
    all.lab.pass(5);
    expect(all.tap.got()).to.deep.equal([frameOf(BROADCAST, A)]);
    expect(all.a.receive()).to.deep.equal([]);
    core.removeLink("lan:tap0");
    expect(all.tap.closed).to.equal(true);
    expect(core.counters().outlets).to.deep.equal([]);
    all.a.transmit(frameOf(BROADCAST, A));
    all.lab.run();
    expect(all.lab.addTap("tap0")).to.not.equal(all.tap);
  });

  it("cannot flood the lab through a bridge of the host", () => {
    const all = laid();
    using _ = all.lab;
    for (let i = 0; i < 6000; i++) {
      all.tap.sends(frameOf(BROADCAST, HOST));
      if (i % 100 === 99) {
        wake(all);
        all.lab.run();
        all.a.receive();
        all.b.receive();
      }
    }
    const [lan] = all.lab.core.counters().switches;
    const port = lan?.ports.find(({ link }) => link === "lan:tap0");
    expect(port?.drops.storm).to.be.above(1000);
  });

  it("is refused where the host does not give it, and nothing is plugged in then", () => {
    const { lab, guests } = MockLab.star(["a", "b"]);
    using _ = lab;
    lab.noTaps = true;
    expect(() => lab.addTap("tap0")).to.throw("no TAP");
    expect(lab.core.counters().links.map(({ link }) => link)).to.deep.equal(["a-link", "b-link"]);
    (guests[0] as MockGuest).transmit(frameOf(BROADCAST, A));
    lab.run();
    expect((guests[1] as MockGuest).receive()).to.have.length(1);
  });
});
