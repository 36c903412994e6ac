/**
 * The fabric's core alone: how many frames a second go from ring to ring, with drivers that cost next
 * to nothing. Their rings are written once; to send a batch, an index is moved on.
 *
 *     sender's tx ring --> Nic --> link --> switch --> link --> Nic --> rx rings of 1 or 32 receivers
 *
 * Beside it the same walk in C (`guest/ring-copy.c`): what a core of this machine can do. Both count
 * seconds of CPU time, so that other work on the machine weighs less.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ARENA_ROOM_BYTES } from "../net/arena.ts";
import type { Impairment } from "../net/control/messages.ts";
import * as virtio from "../net/virtio/constants.ts";
import {
  AVAILABLE,
  GUEST_START,
  type MockGuest,
  QUEUE_AT,
  RAM_BYTES,
  RX,
  TX,
  USED,
} from "../test/net/driver/mock-guest.ts";
import { BROADCAST, frameOf, MockLab, mac } from "../test/net/driver/mock-lab.ts";
import { compileForGuest } from "./compile.ts";
import type { SectionOptions } from "./sections.ts";
import { median, renderTable } from "./table.ts";

const QUEUE = 256;
const SENDER = mac(1);
const RECEIVER = mac(2);
const FRAME_AT = 0x9_0000;
const GSO_BYTES = 65_226; // 45 segments of 1448 bytes and their headers

interface Case {
  readonly name: string;
  readonly bytes: number;
  readonly receivers: 1 | 32;
  readonly impairment?: Impairment;
  /** Sender and receivers are in different arenas, as in labs of more than 2 GiB of RAM. */
  readonly apart?: true;
  /** What arrives, where that is not what was sent: the pieces of a frame that was cut. */
  readonly arriving?: number;
}

const CASES: readonly Case[] = [
  { name: "64 B", bytes: 64, receivers: 1 },
  { name: "1514 B", bytes: 1514, receivers: 1 },
  { name: "64 KB (GSO)", bytes: GSO_BYTES, receivers: 1 },
  { name: "64 B to 32 ports", bytes: 64, receivers: 32 },
  { name: "1514 B to 32 ports", bytes: 1514, receivers: 32 },
  { name: "64 KB (GSO) to 32 ports", bytes: GSO_BYTES, receivers: 32 },
  { name: "64 B between arenas", bytes: 64, receivers: 1, apart: true },
  { name: "1514 B between arenas", bytes: 1514, receivers: 1, apart: true },
  { name: "64 B, delay 10us", bytes: 64, receivers: 1, impairment: { delayNs: 10_000 } },
  { name: "1514 B, delay 10us", bytes: 1514, receivers: 1, impairment: { delayNs: 10_000 } },
  {
    name: "64 KB (GSO) cut for loss 1%",
    bytes: GSO_BYTES,
    receivers: 1,
    impairment: { loss: 0.01 },
    arriving: 1514,
  },
];

export interface CoreResult {
  readonly name: string;
  readonly bytes: number;
  /** Frames that arrived, a second: a flooded frame counts at each port. */
  readonly framesPerSec: number;
  /** Null where there is no compiler, or nothing to compare with. */
  readonly ceilingFramesPerSec: number | null;
}

export async function measureCore(options: SectionOptions): Promise<CoreResult[]> {
  const seconds = options.quick ? 0.5 : 2;
  const rounds = options.quick ? 1 : 3;
  const folder = mkdtempSync(join(tmpdir(), "uml-bench-"));
  try {
    const ceiling = compileCeiling(folder, options);
    return CASES.map((one) => {
      options.signal.throwIfAborted();
      options.log(`core: ${one.name}`);
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let round = 0; round < rounds; round++) {
        ours.push(run(one, seconds));
        if (ceiling !== null && one.impairment === undefined) {
          theirs.push(runCeiling(ceiling, one, seconds));
        }
      }
      return {
        name: one.name,
        bytes: one.arriving ?? one.bytes,
        framesPerSec: median(ours),
        ceilingFramesPerSec: theirs.length === 0 ? null : median(theirs),
      };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** One case by its name, for a profiler. */
export const runCase = (name: string, seconds: number): number =>
  run(CASES.find((one) => one.name === name) as Case, seconds);

/** Frames a second that reach receivers. */
function run(one: Case, seconds: number): number {
  const lab = new MockLab();
  using _ = lab;
  lab.core.addSwitch({ switch: "lan", hub: false, ageingMs: 300_000 });
  const guests = ["sender", ...Array.from({ length: one.receivers }, (_, i) => `r${i}`)].map(
    (name, index) => {
      lab.addNic(name, index + 1);
      const impairments = [index === 0 ? (one.impairment ?? {}) : {}, {}] as const;
      lab.link(name, { kind: "switch", switch: "lan" }, impairments);
      const guest = lab.boot(name);
      // what is left of the first arena
      if (index === 0 && one.apart) lab.core.arenas.take(ARENA_ROOM_BYTES - RAM_BYTES);
      return guest;
    },
  );
  const [sender, ...receivers] = guests as [MockGuest, ...MockGuest[]];
  receivers[0]?.transmit(frameOf(BROADCAST, RECEIVER));
  lab.run();
  prepareSender(sender, one);
  const several = (one.arriving ?? one.bytes) > 1514;
  const start = new Drivers(sender, receivers, several);
  // warm: compiled, and the pages touched
  for (const until = cpuSeconds() + 0.5; cpuSeconds() < until; ) {
    start.batch(lab, one.impairment !== undefined);
  }
  start.received = 0;
  const from = cpuSeconds();
  let to = from;
  while (to - from < seconds) {
    for (let i = 0; i < 64; i++) start.batch(lab, one.impairment !== undefined);
    to = cpuSeconds();
  }
  return start.received / (to - from);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Every descriptor of the transmit ring leads to the same frame. */
function prepareSender(sender: MockGuest, { bytes, receivers }: Case): void {
  const frame = frameOf(receivers === 1 ? RECEIVER : BROADCAST, SENDER, bytes);
  const gso = bytes > 1514;
  if (gso) writeTcpHeaders(frame);
  const header = new DataView(sender.memory.buffer, FRAME_AT, virtio.NET_HEADER_BYTES);
  for (let i = 0; i < virtio.NET_HEADER_BYTES; i++) header.setUint8(i, 0);
  if (gso) {
    header.setUint8(virtio.NET_HDR_FLAGS, virtio.NET_HDR_F_NEEDS_CSUM);
    header.setUint8(virtio.NET_HDR_GSO_TYPE, virtio.NET_HDR_GSO_TCPV4);
    header.setUint16(virtio.NET_HDR_LEN, 66, true);
    header.setUint16(virtio.NET_HDR_GSO_SIZE, 1448, true);
    header.setUint16(virtio.NET_HDR_CSUM_START, 34, true);
    header.setUint16(virtio.NET_HDR_CSUM_OFFSET, 16, true);
  }
  sender.u8.set(frame, FRAME_AT + virtio.NET_HEADER_BYTES);
  const at = (QUEUE_AT[TX] + AVAILABLE) / 2;
  for (let i = 0; i < QUEUE; i++) {
    sender.setDescriptor(TX, i, {
      address: GUEST_START + FRAME_AT,
      length: virtio.NET_HEADER_BYTES + bytes,
    });
    sender.u16[at + 2 + i] = i;
  }
}

function writeTcpHeaders(frame: Buffer): void {
  frame.fill(0, 14, 66);
  frame.writeUInt16BE(0x0800, 12);
  frame[14] = 0x45;
  frame.writeUInt16BE(frame.length - 14, 16);
  frame[23] = 6;
  frame[46] = 8 << 4;
}

/** All drivers at once: give back what was received, offer a ring full of frames, turn. */
class Drivers {
  received = 0;
  readonly #sender: MockGuest;
  readonly #receivers: readonly MockGuest[];
  /** Whether a frame takes several buffers. */
  readonly #several: boolean;
  readonly #seen: Uint16Array;

  constructor(sender: MockGuest, receivers: readonly MockGuest[], several: boolean) {
    this.#sender = sender;
    this.#receivers = receivers;
    this.#several = several;
    this.#seen = Uint16Array.from(receivers, usedIndex(RX));
  }

  batch(lab: MockLab, timed: boolean): void {
    const { u16 } = this.#sender;
    const available = (QUEUE_AT[TX] + AVAILABLE) / 2 + 1;
    // at most what is free: the fabric may have left some for want of receive buffers
    u16[available] = u16[(QUEUE_AT[TX] + USED) / 2 + 1]! + QUEUE;
    this.#sender.kick(TX);
    do {
      if (timed) {
        lab.core.clock.nowNs += 250_000; // a receiver that was full is tried again
        lab.core.clock.nowMs = lab.core.clock.nowNs / 1e6;
      }
      lab.core.turn();
      this.#giveBack();
    } while (u16[available] !== u16[(QUEUE_AT[TX] + USED) / 2 + 1]);
  }

  /** The receive ring's entries stand in the order they were used: only its index moves on. */
  #giveBack(): void {
    for (let i = 0; i < this.#receivers.length; i++) {
      const receiver = this.#receivers[i] as MockGuest;
      const { u16 } = receiver;
      const now = u16[(QUEUE_AT[RX] + USED) / 2 + 1]!;
      const count = (now - this.#seen[i]!) & 0xffff;
      if (count === 0) continue;
      this.received += this.#several ? this.#frames(receiver, this.#seen[i]!, count) : count;
      u16[(QUEUE_AT[RX] + AVAILABLE) / 2 + 1]! += count;
      this.#seen[i] = now;
      receiver.kick(RX);
    }
  }

  /** Frames in `count` buffers: the first of each has its number of buffers in the header. */
  #frames(receiver: MockGuest, from: number, count: number): number {
    const { u16, u32 } = receiver;
    let frames = 0;
    for (let i = 0; i < count; frames++) {
      const entry = (QUEUE_AT[RX] + USED) / 4 + 1 + ((from + i) & (QUEUE - 1)) * 2;
      const at = 0x1_0000 + u32[entry]! * 2048;
      i += Math.max(1, u16[(at + virtio.NET_HDR_NUM_BUFFERS) / 2]!);
    }
    return frames;
  }
}

const usedIndex = (queue: 0 | 1) => (guest: MockGuest) =>
  guest.u16[(QUEUE_AT[queue] + USED) / 2 + 1] as number;

// ------------------------------------------------------------------ the ceiling

function compileCeiling(folder: string, { log }: SectionOptions): string | null {
  try {
    return compileForGuest(folder, "ring-copy.c", "ring-copy", ["-march=native"]);
  } catch {
    log("core: no C compiler here: nothing in C to compare with");
    return null;
  }
}

function runCeiling(program: string, one: Case, seconds: number): number {
  const words = [one.bytes, one.receivers, seconds].map(String);
  const { stdout, status } = spawnSync(program, words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${words.join(" ")} failed`);
  return Number(stdout);
}

export function renderCore(results: readonly CoreResult[]): string {
  const head = ["frames", "Mpps", "Gbit/s", "in C, Mpps", "Gbit/s", "ours / C"];
  const mpps = (rate: number) => (rate / 1e6).toFixed(rate < 1e6 ? 3 : 2);
  const gbits = (rate: number, bytes: number) => ((rate * bytes * 8) / 1e9).toFixed(1);
  return renderTable(
    head,
    results.map(({ name, bytes, framesPerSec: ours, ceilingFramesPerSec: c }) => [
      name,
      mpps(ours),
      gbits(ours, bytes),
      c === null ? "-" : mpps(c),
      c === null ? "-" : gbits(c, bytes),
      c === null ? "-" : (ours / c).toFixed(2),
    ]),
  );
}
