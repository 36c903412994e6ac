/** The fabric against mock drivers: what a guest's kernel does, and what it must never do. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { BLOCK_INTERFACE, BLOCK_PACKET } from "../../net/capture/pcapng.ts";
import { Request } from "../../net/vhost-user/messages.ts";
import * as virtio from "../../net/virtio/constants.ts";
import {
  AVAILABLE,
  GUEST_START,
  type MockGuest,
  pair,
  QUEUE_AT,
  RX,
  TX,
  TX_BUFFERS,
  USED,
  u64,
} from "./driver/mock-guest.ts";
import { BROADCAST, frameOf, MockLab, mac } from "./driver/mock-lab.ts";
import { internetSum, pseudoHeader, tcpFrame } from "./driver/tcp-frame.ts";

const bit = (feature: number) => 1n << BigInt(feature);
const without =
  (...features: number[]) =>
  (offered: bigint) =>
    features.reduce((bits, feature) => bits & ~bit(feature), offered);

const [A, B, C] = [mac(1), mac(2), mac(3)] as const;

describe("guests on a switch", () => {
  function three(options: Parameters<typeof MockLab.star>[1] = {}) {
    const { lab, guests } = MockLab.star(["a", "b", "c"], options);
    const [a, b, c] = guests as [MockGuest, MockGuest, MockGuest];
    return { lab, a, b, c };
  }

  it("get every frame as it was sent: first to all, then to the one who answered", () => {
    const { lab, a, b, c } = three();
    using _ = lab;
    a.transmit(frameOf(B, A, 100));
    lab.run();
    expect(b.receive().map(({ bytes }) => bytes)).to.deep.equal([frameOf(B, A, 100)]);
    expect(c.receive()).to.have.lengthOf(1);
    b.transmit(frameOf(A, B, 60));
    a.transmit(frameOf(B, A, 1514, 7));
    lab.run();
    expect(a.receive().map(({ bytes }) => bytes)).to.deep.equal([frameOf(A, B, 60)]);
    expect(b.receive().map(({ bytes }) => bytes)).to.deep.equal([frameOf(B, A, 1514, 7)]);
    expect(c.receive()).to.deep.equal([]);
    expect(a.used(TX)).to.have.lengthOf(2);
  });

  it("share a broadcast, and hear all on a hub", () => {
    for (const hub of [false, true]) {
      const { lab, a, b, c } = three({ hub });
      using _ = lab;
      b.transmit(frameOf(BROADCAST, B));
      lab.run();
      expect([a, b, c].map((guest) => guest.receive().length)).to.deep.equal([1, 0, 1]);
      a.transmit(frameOf(B, A));
      lab.run();
      expect(c.receive().length).to.equal(hub ? 1 : 0);
    }
  });

  it("may cut a frame into any buffers, chained or in an indirect table", () => {
    const { lab, a, b } = three();
    using _ = lab;
    const frame = frameOf(B, A, 600);
    for (const pieces of [
      [12],
      [5, 7],
      [12, 14],
      [12, 3, 3, 200],
      [26, 1],
      [600],
      [4, 4, 4, 4, 4],
    ]) {
      for (const indirect of [false, true]) {
        a.transmit(frame, { pieces, indirect });
        lab.run();
        const [got, ...more] = b.receive();
        expect(got?.bytes, `${pieces} ${indirect}`).to.deep.equal(frame);
        expect(more).to.deep.equal([]);
      }
    }
    expect(lab.drops("a")).to.deep.equal({ from: {}, to: {} });
  });

  it("send zeros where a part of a frame is the kernel's page of zeros, which is not shared", () => {
    const { lab, a, b } = three();
    using _ = lab;
    const head = frameOf(B, A, 200, 9);
    a.transmit(head);
    a.setDescriptor(TX, 0, {
      address: GUEST_START + TX_BUFFERS,
      length: virtio.NET_HEADER_BYTES + head.length,
      flags: virtio.DESC_F_NEXT,
      next: 1,
    });
    a.setDescriptor(TX, 1, { address: GUEST_START - 0x3000 + 96, length: 1000 });
    lab.run();
    const [got] = b.receive();
    expect(got?.bytes.subarray(0, 200).equals(head)).to.equal(true);
    expect(got?.bytes.subarray(200).equals(Buffer.alloc(1000))).to.equal(true);
    expect(lab.core.counters().nics.find(({ nic }) => nic === "a")?.connected).to.equal(true);
  });

  it("get a GSO frame in one piece, spread over buffers, header and all", () => {
    const { lab, a, b } = three();
    using _ = lab;
    const { frame, header } = tcpFrame(40_000);
    a.transmit(frame, { header });
    lab.run();
    const [got] = b.receive();
    expect(got?.bytes.equals(frame)).to.equal(true);
    const { buffers, ...rest } = (got as NonNullable<typeof got>).header;
    expect(rest).to.deep.equal(header);
    expect(buffers).to.equal(Math.ceil((frame.length + 12) / 2048));
    const counters = lab.core.counters().nics.find(({ nic }) => nic === "a")?.fromGuest;
    expect(counters?.frames).to.equal(Math.ceil(40_000 / 1448));
  });

  it("get single frames with finished checksums where they took no offloads", () => {
    const { lab, a, b, c } = three({
      guest: {
        features: without(
          virtio.F_NET_GUEST_TSO4,
          virtio.F_NET_GUEST_TSO6,
          virtio.F_NET_GUEST_CSUM,
          virtio.F_NET_MRG_RXBUF,
        ),
      },
    });
    using _ = lab;
    const { frame, header } = tcpFrame(4000);
    a.transmit(frame, { header });
    lab.run();
    for (const guest of [b, c]) {
      const got = guest.receive();
      expect(got.map(({ bytes }) => bytes.length)).to.deep.equal([1514, 1514, 4000 - 2896 + 66]);
      for (const { bytes, header: offload } of got) {
        expect([offload.flags, offload.gsoType]).to.deep.equal([0, 0]);
        expect(internetSum(pseudoHeader(bytes), bytes.subarray(34))).to.equal(0xffff);
      }
      expect(Buffer.concat(got.map(({ bytes }) => bytes.subarray(66)))).to.deep.equal(
        frame.subarray(66),
      );
    }
  });

  it("are captured: a frame whose offload header no wire could honour is counted as missed", () => {
    const { lab, a, b } = three();
    using _ = lab;
    const folder = mkdtempSync(join(tmpdir(), "uml-capture-"));
    try {
      const output = { path: join(folder, "all.pcapng") };
      lab.core.startCapture({ capture: "all", of: { kind: "link", link: "a-link" }, output });
      const { frame, header } = tcpFrame(4000);
      a.transmit(frame, { header });
      a.transmit(frame, { header: { ...header, checksumStart: 20 } });
      lab.run();
      expect(b.receive()).to.have.lengthOf(2);
      const capture = lab.core.counters().captures?.[0];
      expect(capture).to.include({ recorded: 3, missed: 1 });
    } finally {
      lab.core.close();
      rmSync(folder, { recursive: true });
    }
  });

  it("are captured on each link that they cross, the first one first", () => {
    const { lab, a, b } = three();
    using _ = lab;
    const folder = mkdtempSync(join(tmpdir(), "uml-capture-"));
    try {
      b.transmit(frameOf(A, B));
      lab.run();
      const path = join(folder, "all.pcapng");
      lab.core.startCapture({ capture: "all", of: { kind: "all" }, output: { path } });
      for (let i = 0; i < 3; i++) a.transmit(frameOf(B, A));
      lab.run();
      lab.core.close();
      const bytes = readFileSync(path);
      const names: string[] = [];
      const seen: (string | undefined)[] = [];
      for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at + 4)) {
        // an interface's name is its first option; a packet begins with the number of its interface
        const type = bytes.readUInt32LE(at);
        if (type === BLOCK_INTERFACE) {
          names.push(bytes.toString("utf8", at + 20, at + 20 + bytes.readUInt16LE(at + 18)));
        } else if (type === BLOCK_PACKET) seen.push(names[bytes.readUInt32LE(at + 8)]);
      }
      const once = ["a", "lan/b-link"];
      expect(seen).to.deep.equal([...once, ...once, ...once]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("lose what is longer than the receiver's MTU, whole or in its segments", () => {
    const lab = new MockLab();
    using _ = lab;
    lab.addNic("a", 1);
    lab.addNic("b", 2, 1400);
    lab.link("a", { kind: "nic", nic: "b" });
    const [a, b] = [lab.boot("a"), lab.boot("b")];
    a.transmit(frameOf(B, A, 1414));
    a.transmit(frameOf(B, A, 1500));
    const { frame, header } = tcpFrame(4000);
    a.transmit(frame, { header });
    lab.run();
    expect(b.receive()).to.have.lengthOf(1);
    expect(lab.drops("b").to).to.deep.equal({ "too-long": 4 });
  });

  it("are called only when they want to be", () => {
    const { lab, a, b } = three();
    using _ = lab;
    b.receive();
    b.calls(RX);
    for (let i = 0; i < 5; i++) a.transmit(frameOf(B, A));
    lab.run();
    expect(b.calls(RX)).to.equal(1);
    expect(b.receive()).to.have.lengthOf(5);
    const quiet = QUEUE_AT[RX] + AVAILABLE; // used_event far away
    b.u16[quiet / 2 + 2 + 256] = 0x7000;
    a.transmit(frameOf(B, A));
    lab.run();
    expect(b.calls(RX)).to.equal(0);
  });

  it("work without EVENT_IDX, by the rings' flags", () => {
    const { lab, a, b } = three({ guest: { features: without(virtio.F_RING_EVENT_IDX) } });
    using _ = lab;
    b.calls(RX);
    a.transmit(frameOf(B, A));
    lab.run();
    expect(b.calls(RX)).to.equal(1);
    b.u16[(QUEUE_AT[RX] + AVAILABLE) / 2] = virtio.AVAIL_F_NO_INTERRUPT;
    a.transmit(frameOf(B, A));
    lab.run();
    expect(b.calls(RX)).to.equal(0);
    expect(b.receive()).to.have.lengthOf(2);
  });

  it("see their carrier go and come", () => {
    const { lab, a } = three();
    using _ = lab;
    a.configurationChanges();
    const status = () => {
      const read = Buffer.alloc(12 + 12);
      read.writeUInt32LE(12, 4);
      return a.ask(Request.GET_CONFIG, read).readUInt16LE(12 + virtio.CONFIG_STATUS);
    };
    expect(status()).to.equal(virtio.STATUS_LINK_UP);
    lab.core.setLinkState("a-link", false);
    expect([a.configurationChanges(), status()]).to.deep.equal([1, 0]);
    a.transmit(frameOf(B, A));
    lab.run();
    lab.core.setLinkState("a-link", true);
    expect([a.configurationChanges(), status()]).to.deep.equal([1, virtio.STATUS_LINK_UP]);
    const link = lab.core.counters().links.find(({ link: name }) => name === "a-link");
    expect(link?.directions[0].drops).to.deep.equal({ "link-down": 1 });
  });

  it("come back on the same socket after a reboot or a crash, at any moment", () => {
    const { lab, a, b } = three();
    using _ = lab;
    for (let i = 0; i < 20; i++) {
      a.transmit(frameOf(B, A));
      if (i % 2 === 0) lab.run();
      if (i % 3 === 0) a.hangUp(); // a crash; else the next kernel finds the old one connected
      const again = lab.boot("a");
      lab.run();
      b.receive();
      again.transmit(frameOf(B, A, 200, i));
      lab.run();
      expect(b.receive().map(({ bytes }) => bytes)).to.deep.equal([frameOf(B, A, 200, i)]);
      if (i % 3 !== 0) a.hangUp();
    }
  });

  it("are found again where they moved to", () => {
    const { lab, a, b, c } = three();
    using _ = lab;
    a.transmit(frameOf(BROADCAST, A));
    lab.run();
    [b, c].map((guest) => guest.receive());
    c.transmit(frameOf(BROADCAST, A)); // A's address, now at c
    lab.run();
    a.receive();
    b.receive();
    b.transmit(frameOf(A, B));
    lab.run();
    expect([a.receive().length, c.receive().length]).to.deep.equal([0, 1]);
  });
});

describe("a receiver without buffers", () => {
  /** c gave no buffers; everybody is known to the switch. */
  function withSlow() {
    const lab = new MockLab();
    lab.core.addSwitch({ switch: "lan", hub: false, ageingMs: 300_000 });
    ["a", "b", "c"].forEach((name, index) => {
      lab.addNic(name, index + 1);
      lab.link(name, { kind: "switch", switch: "lan" });
    });
    const [a, b] = [lab.boot("a"), lab.boot("b")];
    const c = lab.boot("c", { receiveBuffers: 0 });
    for (const [guest, address] of [
      [b, B],
      [c, C],
    ] as const) {
      guest.transmit(frameOf(BROADCAST, address));
      lab.run();
    }
    a.receive();
    b.receive();
    return { lab, a, b, c };
  }

  it("makes its sender wait, and loses nothing", () => {
    const { lab, a, c } = withSlow();
    using _ = lab;
    a.transmit(frameOf(C, A, 64, 1));
    a.transmit(frameOf(C, A, 64, 2));
    lab.run();
    expect(a.used(TX)).to.deep.equal([]);
    c.giveBuffers(64);
    lab.run();
    expect(c.receive().map(({ bytes }) => bytes)).to.deep.equal([
      frameOf(C, A, 64, 1),
      frameOf(C, A, 64, 2),
    ]);
    expect(a.used(TX)).to.have.lengthOf(2);
    expect(lab.drops("c").to).to.deep.equal({ "no-buffer": 1 }); // b's broadcast: a flood never waits
  });

  it("counts as stalled after a while: then its senders go on to others", () => {
    const { lab, a, b, c } = withSlow();
    using _ = lab;
    a.transmit(frameOf(C, A));
    a.transmit(frameOf(B, A, 64, 3));
    lab.run();
    expect(b.receive()).to.deep.equal([]);
    lab.pass(25);
    expect(b.receive().map(({ bytes }) => bytes)).to.deep.equal([frameOf(B, A, 64, 3)]);
    expect(lab.drops("c").to).to.include({ stalled: 1 });
    c.giveBuffers(64);
    a.transmit(frameOf(C, A, 64, 4));
    lab.run();
    expect(c.receive().map(({ bytes }) => bytes)).to.deep.equal([frameOf(C, A, 64, 4)]);
  });

  it("cannot hold its senders up by kicking without buffers, nor by taking a frame now and then", () => {
    for (const buffers of [0, 1]) {
      const { lab, a, b, c } = withSlow();
      using _ = lab;
      let reached = 0;
      for (let ms = 0; ms < 1000; ms += 5) {
        if (buffers > 0 && ms % 15 === 0) c.giveBuffers(1);
        else c.kick(RX);
        a.transmit(frameOf(C, A));
        a.transmit(frameOf(B, A));
        lab.pass(5);
        reached += b.receive().length;
        c.receive({ giveBack: false });
        a.used(TX);
      }
      // a's ring had room for sixteen: what waited longer than that is lost to the test itself
      expect(reached, `${buffers} buffers`).to.be.greaterThan(150);
    }
  });
});

describe("a hostile guest", () => {
  const attacks: Record<string, (guest: MockGuest) => void> = {
    "a head outside the table": (guest) => guest.offer(TX, 256),
    "an available index that jumps": (guest) => {
      guest.u16[(QUEUE_AT[TX] + AVAILABLE) / 2 + 1] = 0x8000;
    },
    "a buffer before its memory": (guest) => chain(guest, { address: GUEST_START - 1, length: 64 }),
    "a piece of a page before its memory that is to be written": (guest) =>
      chain(guest, { address: GUEST_START - 4096, length: 64, flags: virtio.DESC_F_WRITE }),
    "an indirect table before its memory": (guest) =>
      chain(guest, { address: GUEST_START - 4096, length: 16, flags: virtio.DESC_F_INDIRECT }),
    "more than a page before its memory": (guest) =>
      chain(guest, { address: GUEST_START - 0x3000, length: 4097 }),
    "a buffer behind its memory": (guest) =>
      chain(guest, { address: GUEST_START + 0x20_0000 - 10, length: 64 }),
    "a buffer whose end wraps": (guest) =>
      chain(guest, { address: GUEST_START + 100, length: 0xffff_ffff }),
    "a buffer at the end of the address space": (guest) =>
      chain(guest, { address: 2 ** 64 - 2 ** 12, length: 64 }),
    "a buffer of nothing": (guest) => chain(guest, { address: GUEST_START, length: 0 }),
    "a buffer for the device to write": (guest) =>
      chain(guest, { address: GUEST_START, length: 64, flags: virtio.DESC_F_WRITE }),
    "a chain that bites its tail": (guest) =>
      chain(guest, { address: GUEST_START, length: 64, flags: virtio.DESC_F_NEXT, next: 0 }),
    "a chain that leaves the table": (guest) =>
      chain(guest, { address: GUEST_START, length: 64, flags: virtio.DESC_F_NEXT, next: 300 }),
    "an indirect table of no entry": (guest) => indirect(guest, 0),
    "an indirect table of a crooked size": (guest) => indirect(guest, 17),
    "an indirect table that is too large": (guest) => indirect(guest, 16 * 2000),
    "an indirect table within one": (guest) => {
      guest.writeDescriptor(0x1_0000 / 4, {
        address: GUEST_START + 0x1_0000,
        length: 16,
        flags: virtio.DESC_F_INDIRECT,
      });
      indirect(guest, 16);
    },
    "a crooked address of an indirect table": (guest) => indirect(guest, 16, 0x1_0001),
    "a message of a megabyte": (guest) => {
      const header = Buffer.alloc(12);
      header.writeUInt32LE(1, 4);
      header.writeUInt32LE(1 << 20, 8);
      guest.sayBytes(header);
    },
    "another version": (guest) => guest.sayBytes(Buffer.from([1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0])),
    "a request that there is not": (guest) => guest.say(99, u64(0n)),
    "a queue that there is not": (guest) => guest.say(Request.SET_VRING_NUM, pair(7, 256)),
    "features that were not offered": (guest) => guest.say(Request.SET_FEATURES, u64(1n << 50n)),
    "memory without a descriptor": (guest) => {
      guest.say(Request.SET_VRING_ENABLE, pair(RX, 0));
      guest.say(Request.SET_VRING_ENABLE, pair(TX, 0));
      guest.say(Request.SET_MEM_TABLE, Buffer.alloc(40, 1));
    },
    "a new memory table under running queues": (guest) => guest.shareMemory(),
    "memory at the far end of a file": (guest) => {
      guest.say(Request.SET_VRING_ENABLE, pair(RX, 0));
      guest.say(Request.SET_VRING_ENABLE, pair(TX, 0));
      const table = Buffer.alloc(40);
      table.writeUInt32LE(1, 0);
      table.writeBigUInt64LE(4096n, 16);
      table.writeBigUInt64LE(0xffff_ffff_ffff_f000n, 32);
      guest.say(Request.SET_MEM_TABLE, table, [guest.memory.fd]);
    },
    "a ring outside its memory": (guest) => {
      guest.say(Request.SET_VRING_ENABLE, pair(TX, 0));
      guest.sayAddresses(TX, (addresses) => {
        addresses[1] = 0xffff_ffff_ffff_fff0n;
      });
      guest.say(Request.SET_VRING_ENABLE, pair(TX, 1));
    },
    "a ring of 100 entries": (guest) => {
      guest.say(Request.SET_VRING_ENABLE, pair(TX, 0));
      guest.say(Request.SET_VRING_NUM, pair(TX, 100));
      guest.say(Request.SET_VRING_ENABLE, pair(TX, 1));
    },
    "a half message, then the end": (guest) => {
      guest.sayBytes(Buffer.from([1, 0, 0]));
      guest.hangUp();
    },
  };

  function chain(guest: MockGuest, value: Parameters<MockGuest["setDescriptor"]>[2]): void {
    guest.setDescriptor(TX, 0, value);
    guest.offer(TX, 0);
  }

  function indirect(guest: MockGuest, length: number, at = 0x1_0000): void {
    chain(guest, { address: GUEST_START + at, length, flags: virtio.DESC_F_INDIRECT });
  }

  for (const [what, attack] of Object.entries(attacks)) {
    it(`loses its connection by ${what}, and nobody else anything`, () => {
      const { lab, guests } = MockLab.star(["evil", "b", "c"]);
      using _ = lab;
      const [evil, b, c] = guests as [MockGuest, MockGuest, MockGuest];
      attack(evil);
      evil.kick(TX);
      lab.run();
      const counters = lab.core.counters().nics.find(({ nic }) => nic === "evil");
      expect(counters?.connected).to.equal(false);
      b.transmit(frameOf(C, B));
      lab.run();
      expect(c.receive()).to.have.lengthOf(1);
      const next = lab.boot("evil");
      next.transmit(frameOf(B, A));
      lab.run();
      expect(b.receive()).to.have.lengthOf(1);
    });
  }

  it("is found out when its buffers are touched ahead, too", () => {
    const { lab, guests } = MockLab.star(["a", "b", "c"]);
    const [a, b] = guests as [MockGuest, MockGuest];
    using _ = lab;
    const idle = () => {
      for (const _guest of guests) lab.core.idle(); // one of them each time
    };
    b.transmit(frameOf(A, B));
    lab.run();
    idle();
    b.transmit(frameOf(A, B));
    lab.run();
    expect(a.receive()).to.have.lengthOf(2);
    a.setDescriptor(RX, 20, { address: 2 ** 60, length: 2048, flags: virtio.DESC_F_WRITE });
    b.transmit(frameOf(A, B));
    lab.run();
    a.u16[(QUEUE_AT[RX] + AVAILABLE) / 2 + 1] = 0x8000;
    idle();
    const state = () => lab.core.counters().nics.map(({ nic, connected }) => [nic, connected]);
    expect(state()).to.deep.equal([
      ["a", false],
      ["b", true],
      ["c", true],
    ]);
  });

  it("cannot write through its receive ring into what is not its own", () => {
    const { lab, guests } = MockLab.star(["evil", "b"]);
    using _ = lab;
    const [evil, b] = guests as [MockGuest, MockGuest];
    const before = Buffer.from(b.u8.slice(0x10_0000));
    for (let i = 0; i < 256; i++) {
      evil.setDescriptor(RX, i, {
        address: GUEST_START + 0x20_0000 + i * 2048,
        length: 2048,
        flags: virtio.DESC_F_WRITE,
      });
    }
    evil.u16[(QUEUE_AT[RX] + USED) / 2 + 1] = 5;
    b.transmit(frameOf(A, B));
    const sent = b.u8.slice(0x10_0000);
    lab.run();
    expect(lab.core.counters().nics[0]?.connected).to.equal(false);
    expect(Buffer.from(b.u8.slice(0x10_0000)).equals(Buffer.from(sent))).to.equal(true);
    expect(before.length).to.equal(sent.length);
  });

  it("cannot stall others with a frame larger than any could be", () => {
    const { lab, guests } = MockLab.star(["evil", "b", "c"]);
    using _ = lab;
    const [evil, b, c] = guests as [MockGuest, MockGuest, MockGuest];
    b.transmit(frameOf(BROADCAST, B));
    lab.run();
    const { frame, header } = tcpFrame(1000);
    evil.transmit(frame, { header });
    // the same buffer, a hundred times over: 6 MB of "frame"
    for (let i = 0; i < 100; i++) {
      evil.setDescriptor(TX, i, {
        address: GUEST_START + 0x9_0000,
        length: 0xffff,
        flags: i < 99 ? virtio.DESC_F_NEXT : 0,
        next: i + 1,
      });
    }
    lab.run();
    c.transmit(frameOf(B, C));
    lab.run();
    expect(b.receive().map(({ bytes }) => bytes.length)).to.include(64);
    expect(lab.drops("evil").from).to.deep.equal({ "too-long": 1 });
  });
});
