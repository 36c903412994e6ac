/**
 * A guest that does whatever it likes to its rings, its session and its frames, beside guests that
 * want to be served. One seed, one sequence of cases; after each the fabric must still carry a frame
 * between the others, whole.
 */

import { closeSync, openSync, readdirSync } from "node:fs";
import { Random } from "../../../base/random.ts";
import type { Impairment } from "../../../net/control/messages.ts";
import { Request } from "../../../net/vhost-user/messages.ts";
import * as virtio from "../../../net/virtio/constants.ts";
import {
  AVAILABLE,
  GUEST_START,
  type MockGuest,
  QUEUE_AT,
  TX,
  USED,
} from "../driver/mock-guest.ts";
import { BROADCAST, frameOf, MockLab, mac } from "../driver/mock-lab.ts";

const RESERVED_GROUP = Buffer.from([0x01, 0x80, 0xc2, 0, 0, 0]);
const [EVIL, B, C, PLAIN] = [mac(1), mac(2), mac(3), mac(4)] as const;
const REQUESTS = Object.values(Request);
const NO_OFFLOADS = [
  virtio.F_NET_GUEST_TSO4,
  virtio.F_NET_GUEST_TSO6,
  virtio.F_NET_GUEST_CSUM,
  virtio.F_NET_MRG_RXBUF,
];

/** Numbers at which checks go wrong. */
const EDGES = [
  0,
  1,
  2,
  11,
  12,
  13,
  14,
  15,
  16,
  17,
  26,
  54,
  255,
  256,
  257,
  1023,
  1024,
  1514,
  1518,
  2048,
  4095,
  4096,
  0x7fff,
  0x8000,
  0xffff,
  0x1_0000,
  0x20_0000,
  0x1f_fff0,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_fff0,
  0xffff_ffff,
  GUEST_START,
  GUEST_START - 1,
  GUEST_START + 0x20_0000,
];

export interface FuzzTotals {
  cases: number;
  /** How often the hostile guest lost its connection. */
  thrownOut: number;
  /** Frames of it that reached somebody. */
  passed: number;
}

export class HostileFuzz implements Disposable {
  readonly totals: FuzzTotals = { cases: 0, thrownOut: 0, passed: 0 };
  readonly #random: Random;
  readonly #lab: MockLab;
  readonly #null = openSync("/dev/null", "r+");
  #evil: MockGuest;
  readonly #b: MockGuest;
  readonly #c: MockGuest;
  readonly #plain: MockGuest;

  constructor(seed: number) {
    this.#random = new Random(seed, "hostile guest");
    const { lab, guests } = MockLab.star(["evil", "b", "c"]);
    this.#lab = lab;
    [this.#evil, this.#b, this.#c] = guests as [MockGuest, MockGuest, MockGuest];
    lab.addNic("plain", 4);
    lab.link("plain", { kind: "switch", switch: "lan" });
    this.#plain = lab.boot("plain", {
      features: (offered) =>
        NO_OFFLOADS.reduce((bits, one) => bits & ~(1n << BigInt(one)), offered),
    });
  }

  /** One case; throws where the fabric breaks or the others are not served. */
  step(): void {
    const { totals } = this;
    totals.cases++;
    const moves = 1 + this.#below(6);
    for (let i = 0; i < moves; i++) this.#misbehave();
    this.#lab.run();
    this.#lab.core.idle();
    if (!this.#evil.nic.connectedToGuest) {
      totals.thrownOut++;
      this.#lab.remove(this.#evil);
      this.#evil = this.#lab.boot("evil");
    }
    this.#expectService(totals.cases);
  }

  #expectService(fill: number): void {
    this.totals.passed += this.#b.receive().length + this.#plain.receive().length;
    const frame = frameOf(C, B, 60 + (fill % 1000), fill);
    // It may flood them, or have taken an address of theirs: they speak up and try again, as
    // anybody would, and get through.
    for (let tries = 0; !this.#reaches(frame); tries++) {
      if (tries === 20) throw new Error("b no longer reaches c");
      this.#lab.pass(5);
    }
    this.#b.used(TX);
    this.#c.used(TX);
  }

  #reaches(frame: Buffer): boolean {
    this.#c.receive();
    this.#c.transmit(frameOf(BROADCAST, C));
    this.#lab.run();
    this.#c.receive();
    this.#b.receive();
    this.#b.transmit(frame);
    this.#lab.run();
    return this.#c.receive().some(({ bytes }) => bytes.equals(frame));
  }

  // ------------------------------------------------------------------ what it does

  #misbehave(): void {
    const evil = this.#evil;
    if (!evil.nic.connectedToGuest) return;
    switch (this.#below(24)) {
      case 0:
        this.#scribble();
        break;
      case 1:
        this.#scribbleFrame();
        break;
      case 2:
        evil.offer(this.#below(2), this.#number() & 0xffff);
        evil.kick(this.#below(2));
        break;
      case 3:
        this.#describe(this.#below(2));
        break;
      case 4:
        this.#say();
        break;
      case 5:
        this.#lab.pass(this.#below(30));
        break;
      case 6:
        this.#change();
        break;
      case 7:
        evil.giveBuffers(this.#below(64));
        break;
      default:
        this.#transmit();
    }
  }

  /** Words of its rings. */
  #scribble(): void {
    const { u32, u16 } = this.#evil;
    for (let i = this.#below(4); i >= 0; i--) {
      const queue = QUEUE_AT[this.#below(2) as 0 | 1];
      switch (this.#below(4)) {
        case 0:
          u32[(queue + this.#below(64 * virtio.DESC_BYTES)) >>> 2] = this.#number();
          break;
        case 1:
          u16[(queue + AVAILABLE + this.#below(64)) >>> 1] = this.#number();
          break;
        case 2:
          u16[(queue + USED + this.#below(64)) >>> 1] = this.#number();
          break;
        default:
          // a few more chains than there are
          u16[(queue + AVAILABLE + 2) >>> 1]! += this.#below(8);
      }
    }
    this.#evil.kick(TX);
  }

  /** Bytes of the frames that stand in its memory, while they may be looked at. */
  #scribbleFrame(): void {
    const { u8 } = this.#evil;
    const at = 0x9_0000 + this.#below(16) * 0x1_2000;
    for (let i = this.#below(8); i >= 0; i--) u8[at + this.#below(90)] = this.#below(256);
  }

  #describe(queue: number): void {
    const evil = this.#evil;
    const index = this.#below(256);
    evil.setDescriptor(queue, index, {
      address: this.#below(3) === 0 ? this.#number() * 2 ** this.#below(33) : this.#inRam(),
      length: this.#number(),
      flags: this.#below(8),
      next: this.#below(300),
    });
    if (this.#below(2) === 0) {
      evil.offer(queue, index);
      evil.kick(queue);
    }
  }

  #say(): void {
    const evil = this.#evil;
    const payload = Buffer.alloc(
      this.#below(4) === 0 ? this.#below(80) : [0, 8, 12, 40][this.#below(4)]!,
    );
    for (let at = 0; at + 4 <= payload.length; at += 4) {
      payload.writeUInt32LE(this.#below(2) === 0 ? this.#below(3) : this.#number(), at);
    }
    const fds = [this.#null, evil.memory.fd].slice(0, this.#below(3));
    const known = this.#below(16) !== 0;
    const request = known ? REQUESTS[this.#below(REQUESTS.length)]! : this.#number();
    if (this.#below(32) === 0) {
      evil.sayBytes(Buffer.from([this.#below(256), this.#below(4)]), fds);
    } else {
      evil.say(request, payload, fds, this.#below(2) * 8);
    }
  }

  /** What is done to the cables of the lab meanwhile, not by it. */
  #change(): void {
    const { core } = this.#lab;
    if (this.#below(4) === 0) {
      core.setLinkState("evil-link", false);
      core.setLinkState("evil-link", true);
      return;
    }
    const some: Impairment[] = [
      {},
      {},
      { delayNs: 1e6 },
      { loss: 0.5 },
      { rateBitsPerSec: 1e9, queue: { frames: 10 } },
      { corrupt: 0.5, duplicate: 0.5, reorder: 0.5 },
    ];
    core.setImpairments("evil-link", [
      some[this.#below(some.length)]!,
      some[this.#below(some.length)]!,
    ]);
  }

  /** A frame that is right, or nearly. */
  #transmit(): void {
    const to = [B, C, PLAIN, EVIL, BROADCAST, RESERVED_GROUP, mac(this.#below(60_000))];
    const from = [EVIL, EVIL, EVIL, B, BROADCAST, mac(this.#below(60_000))];
    const frame = this.#packet(to[this.#below(to.length)]!, from[this.#below(from.length)]!);
    const whole = this.#below(2) === 0;
    this.#evil.transmit(frame, {
      header: {
        flags: this.#below(3),
        gsoType: [0, 0, 1, 4, 5, 0x81, 3, 0xff][this.#below(8)]!,
        headerBytes: this.#below(2) === 0 ? 54 : this.#number() & 0xffff,
        gsoSize: this.#below(2) === 0 ? 1448 : this.#number() & 0xffff,
        checksumStart: this.#below(2) === 0 ? 34 : this.#number() & 0xffff,
        checksumOffset: this.#below(2) === 0 ? 16 : this.#number() & 0xffff,
      },
      pieces: whole ? [] : [1 + this.#below(12), 1 + this.#below(30)],
      indirect: this.#below(4) === 0,
    });
    this.#evil.used(TX);
  }

  #packet(to: Buffer, from: Buffer): Buffer {
    const payload = [0, 20, 500, 1400, 3000, 20_000, 65_000][this.#below(7)]!;
    const frame = Buffer.alloc(54 + payload);
    to.copy(frame, 0);
    from.copy(frame, 6);
    const v6 = this.#below(2) === 0;
    frame.writeUInt16BE(v6 ? 0x86dd : 0x0800, 12);
    frame[14] = v6 ? 0x60 : 0x45;
    if (v6) {
      frame.writeUInt16BE(Math.max(0, frame.length - 54), 18);
      frame[20] = this.#below(2) === 0 ? 6 : this.#below(256);
    } else {
      frame.writeUInt16BE(frame.length - 14, 16);
      frame[23] = this.#below(2) === 0 ? 6 : 17;
    }
    frame[46] = 5 << 4;
    for (let i = this.#below(6); i > 0; i--) frame[12 + this.#below(42)] = this.#below(256);
    return frame;
  }

  // ------------------------------------------------------------------ numbers

  #below(below: number): number {
    return this.#random.below(below);
  }

  #number(): number {
    return this.#below(2) === 0 ? EDGES[this.#below(EDGES.length)]! : this.#random.uint32();
  }

  #inRam(): number {
    return GUEST_START + this.#below(0x20_0000);
  }

  [Symbol.dispose](): void {
    this.#lab[Symbol.dispose]();
    closeSync(this.#null);
  }
}

/** Descriptors of this process, to see that none is lost. */
export const openDescriptors = (): number => readdirSync("/proc/self/fd").length;
