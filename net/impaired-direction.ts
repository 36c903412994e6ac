/**
 * What impairs one direction of a link: judges each frame, keeps a copy of those that are to arrive
 * in the workbench's pool, and sends them on when they are due.
 *
 *     send(frame) --> take apart --> judge --> lost, queue full: counted
 *                                      | copy
 *                                      v
 *                                   in flight --> release(now) --> destination
 *
 * Frames leave from the loop, never from within `send`: so nothing here is entered twice.
 */

import { Random } from "../base/random.ts";
import type { Impairment } from "./control/messages.ts";
import type { Counters } from "./counters.ts";
import { Frame } from "./frame.ts";
import { Flight } from "./impairment/flight.ts";
import {
  CORRUPTED,
  DUPLICATE_DROPPED,
  DUPLICATED,
  HELD_BACK,
  Impairer,
  LOST,
  needsSingleFrames,
  QUEUE_FULL,
} from "./impairment/impairer.ts";
import type { Sink } from "./link.ts";
import { nextOrder, type Tap } from "./tap.ts";
import { NET_HEADER_BYTES } from "./virtio/constants.ts";
import { emitOffload, GSO_NONE, type Offload } from "./wire/virtio-net.ts";
import type { Workbench } from "./workbench.ts";

/** Frames that leave one direction in one turn. */
const BUDGET = 1024;
/** How soon a receiver without room is tried again. */
const RETRY_NS = 200_000;
/** Frames that may gather behind one that its receiver has no room for. */
const MOST_LATE = 1000;

const PLAIN: Offload = {
  flags: 0,
  gsoType: GSO_NONE,
  headerBytes: 0,
  gsoSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
};

/** The direction it works for. */
export interface ImpairedLink {
  readonly up: boolean;
  readonly counters: Counters;
  readonly destination: Sink;
  readonly entryTaps: readonly Tap[];
  readonly exitTaps: readonly Tap[];
}

export class ImpairedDirection {
  readonly #link: ImpairedLink;
  readonly #bench: Workbench;
  readonly #impairer: Impairer;
  readonly #flight = new Flight();
  readonly #frame: Frame;
  /** Length and links crossed of the frame in each slot that is taken. */
  readonly #lengths = new Map<number, number>();
  #single = true;
  /** A frame that was due and found no room at its receiver. */
  #waiting = -1;
  #retryNs = 0;
  /** Frames that came since a receiver had no room. */
  #late = 0;

  /** @param seed the link's. @param stream tells this direction's random numbers from others. */
  constructor(link: ImpairedLink, bench: Workbench, seed: number, stream: string) {
    this.#link = link;
    this.#bench = bench;
    this.#impairer = new Impairer(new Random(seed, stream));
    this.#frame = new Frame(bench.region.arena);
  }

  set(impairment: Impairment): void {
    this.#impairer.set(impairment);
    this.#single = needsSingleFrames(impairment);
  }

  /** Whether nothing is on its way. */
  get isEmpty(): boolean {
    return this.#flight.count === 0 && this.#waiting < 0;
  }

  /** When `release` has something to do; Infinity where nothing is on its way. */
  get nextDueNs(): number {
    if (this.#waiting >= 0) return this.#retryNs;
    return this.#flight.nextDueNs - this.#aheadNs;
  }

  get #aheadNs(): number {
    return this.#link.destination.handoverNs ?? 0;
  }

  send(frame: Frame, nowNs: number): void {
    const { entryTaps, exitTaps } = this.#link;
    if (!this.#single && frame.gsoSize > 0 && entryTaps.length + exitTaps.length === 0) {
      this.#sendWhole(frame, nowNs);
      return;
    }
    const { segmenter } = this.#bench;
    if (!this.#bench.takeApart(frame)) {
      this.#link.counters.drop("malformed");
      return;
    }
    for (let bytes = segmenter.nextBytes; bytes > 0; bytes = segmenter.nextBytes) {
      this.#sendOne(bytes, frame.hops, nowNs);
    }
  }

  /** Sends on what is due, at most a budget of it. */
  release(nowNs: number): void {
    const untilNs = nowNs + this.#aheadNs;
    for (let left = BUDGET; left > 0; left--) {
      const slot = this.#waiting >= 0 ? this.#waiting : this.#flight.take(untilNs);
      if (slot < 0) {
        this.#late = 0;
        return;
      }
      this.#waiting = -1;
      if (!this.#deliver(slot, nowNs)) {
        this.#waiting = slot;
        this.#retryNs = nowNs + RETRY_NS;
        return;
      }
      this.#give(slot);
    }
  }

  /** Forgets what is on its way. */
  dispose(): void {
    for (const slot of this.#lengths.keys()) this.#bench.pool.give(slot);
    this.#lengths.clear();
  }

  // ------------------------------------------------------------------ in

  #sendOne(bytes: number, hops: number, nowNs: number): void {
    const { segmenter, pool, u8 } = this.#bench;
    const { entryTaps } = this.#link;
    const fate = this.#impairer.judge(bytes, nowNs);
    if ((fate & (LOST | QUEUE_FULL)) !== 0) {
      this.#end(fate, nowNs);
      return;
    }
    if (this.#waiting >= 0) this.#late++;
    const slot = this.#late > MOST_LATE ? -1 : pool.take(NET_HEADER_BYTES + bytes);
    if (slot < 0) {
      this.#end(QUEUE_FULL, nowNs);
      return;
    }
    const at = this.#bench.poolAt + slot;
    segmenter.next(u8, emitOffload(PLAIN, u8, at));
    if ((fate & CORRUPTED) !== 0) {
      const bit = Math.floor(this.#impairer.corruptAt * bytes * 8);
      u8[at + NET_HEADER_BYTES + (bit >>> 3)]! ^= 1 << (bit & 7);
    }
    if (entryTaps.length > 0) this.#tap(entryTaps, at + NET_HEADER_BYTES, bytes, nowNs, fate);
    this.#keep(slot, NET_HEADER_BYTES + bytes, hops, fate);
  }

  /** The next frame ends here. */
  #end(fate: number, nowNs: number): void {
    const { counters, entryTaps } = this.#link;
    counters.drop((fate & LOST) !== 0 ? "loss" : "queue-full");
    if (entryTaps.length === 0) this.#bench.segmenter.skip();
    else this.#tap(entryTaps, this.#bench.segmentAt, this.#bench.nextSegment(), nowNs, fate);
  }

  /** A frame that stays in one piece, offload header and all. */
  #sendWhole(frame: Frame, nowNs: number): void {
    const { pool, poolAt, u8 } = this.#bench;
    this.#impairer.judge(frame.bytes, nowNs); // nothing but a delay is switched on
    const bytes = NET_HEADER_BYTES + frame.bytes;
    if (this.#waiting >= 0) this.#late++;
    const slot = this.#late > MOST_LATE ? -1 : pool.take(bytes);
    if (slot < 0) {
      this.#link.counters.drop("queue-full", frame.wireFrames);
      return;
    }
    this.#bench.gather(frame, emitOffload(frame, u8, poolAt + slot));
    this.#keep(slot, bytes, frame.hops, 0);
  }

  #keep(slot: number, bytes: number, hops: number, fate: number): void {
    const { pool, poolAt, u8 } = this.#bench;
    const { counters } = this.#link;
    const { departsNs, duplicateDepartsNs } = this.#impairer;
    const kept =
      (fate & HELD_BACK) !== 0
        ? this.#flight.holdBack(slot, departsNs)
        : this.#flight.push(slot, departsNs);
    if (!kept) {
      counters.drop("queue-full");
      pool.give(slot);
      return;
    }
    this.#lengths.set(slot, bytes * 128 + hops);
    if ((fate & DUPLICATE_DROPPED) !== 0) counters.drop("queue-full");
    if ((fate & DUPLICATED) === 0) return;
    const copy = this.#flight.isFull ? -1 : pool.take(bytes);
    if (copy < 0) {
      counters.drop("queue-full");
      return;
    }
    u8.copyWithin(poolAt + copy, poolAt + slot, poolAt + slot + bytes);
    this.#lengths.set(copy, bytes * 128 + hops);
    this.#flight.push(copy, duplicateDepartsNs);
  }

  #tap(taps: readonly Tap[], at: number, bytes: number, nowNs: number, fate: number): void {
    const order = nextOrder();
    for (const tap of taps) tap.record(this.#bench.u8, at, bytes, nowNs, fate, order);
  }

  // ------------------------------------------------------------------ out

  /** False where the receiver has no room now. */
  #deliver(slot: number, nowNs: number): boolean {
    const { counters, destination, exitTaps, up } = this.#link;
    if (!up) {
      counters.drop("link-down");
      return true;
    }
    const kept = this.#lengths.get(slot)!;
    const bytes = Math.floor(kept / 128);
    const at = this.#bench.poolAt + slot;
    const frame = this.#frame;
    const { chain } = frame;
    chain.count = 1;
    chain.offsets[0] = at;
    chain.lengths[0] = bytes;
    chain.bytes = bytes;
    if (!frame.parse(this.#bench.region.arena)) {
      counters.drop("malformed");
      return true;
    }
    frame.hops = kept & 127;
    frame.patient = true;
    if (!destination.send(frame)) return false;
    counters.pass(frame);
    if (exitTaps.length > 0 && frame.gsoSize === 0) {
      const arrivesNs = Math.max(nowNs, this.#flight.takenDueNs);
      this.#tap(exitTaps, at + NET_HEADER_BYTES, bytes - NET_HEADER_BYTES, arrivesNs, 0);
    }
    return true;
  }

  #give(slot: number): void {
    this.#lengths.delete(slot);
    this.#bench.pool.give(slot);
  }
}
