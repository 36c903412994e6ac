/**
 * One capture: frames come in one at a time, with their fate; blocks go into a ring that a thread
 * writes out. Recording never waits: what finds the ring full is counted as missed.
 */

import { Worker } from "node:worker_threads";
import type { CaptureCounters, CaptureSpec } from "../control/messages.ts";
import type { Recorder } from "../tap.ts";
import { compileFilter, type FrameFilter } from "./filter.ts";
import {
  CaptureClock,
  interfaceBlock,
  PACKET_DATA,
  packetBlockBytes,
  STATISTICS_BYTES,
  sectionBlock,
  statisticsBlock,
  writePacketBlock,
} from "./pcapng.ts";
import { BlockRing, ENDED, FINISH, RUNNING } from "./ring.ts";

/** What comes before all frames of a batch, and behind them. */
const FIRST = 0;
const LAST = Number.POSITIVE_INFINITY;
const RING_BYTES = 16 * 1024 * 1024;
const THREAD = new URL(`./writer-thread${import.meta.url.slice(-3)}`, import.meta.url);

interface Interface {
  seen: number;
  missed: number;
}

/** Starts what takes the blocks out of the ring; tests put something else here. */
export type StartWriter = (ring: BlockRing, spec: CaptureSpec) => void;

const startThread: StartWriter = (ring, { output }) => {
  new Worker(THREAD, { workerData: { memory: ring.memory, output } }).unref();
};

export class Capture implements Recorder {
  readonly spec: CaptureSpec;
  readonly #ring: BlockRing;
  readonly #filter: FrameFilter;
  readonly #clock: CaptureClock;
  readonly #snapLength: number;
  readonly #interfaces: Interface[] = [];
  readonly #ids = new Map<string, number>();
  #recorded = 0;
  #bytes = 0;

  /**
   * @param startNs nanoseconds since 1970 at time 0 of the fabric's clock. Throws a FilterError.
   */
  constructor(spec: CaptureSpec, startNs: bigint, start = startThread, ringBytes = RING_BYTES) {
    this.spec = spec;
    this.#filter = compileFilter(spec.filter ?? "");
    this.#clock = new CaptureClock(startNs);
    this.#snapLength = spec.snapLength ?? 0;
    this.#ring = BlockRing.ofBytes(ringBytes);
    this.#ring.append(sectionBlock("uml-lab"), FIRST);
    this.#ring.publish();
    start(this.#ring, spec);
  }

  /** Whether the writer is gone: there is nothing left to record for. */
  get ended(): boolean {
    return this.#ring.state === ENDED;
  }

  /** The number of the interface of that name; it is made when it is new. */
  interface(name: string, description: string): number {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = this.#interfaces.length;
    // the ring was just made, or a link was just added: a full one would lose the interface for good
    const block = interfaceBlock({ name, description, snapLength: this.#snapLength });
    if (!this.#ring.append(block, FIRST)) return -1;
    this.#interfaces.push({ seen: 0, missed: 0 });
    this.#ids.set(name, id);
    return id;
  }

  /**
   * Records a frame in one piece.
   * @param comment its fate, UTF-8. @param order of the frames of a turn, the lower stands first.
   */
  record(
    id: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    nowNs: number,
    direction: number,
    comment: Uint8Array | undefined,
    order: number,
  ): void {
    const one = this.#interfaces[id];
    if (one === undefined || !this.#filter(bytes, at, length)) return;
    one.seen++;
    const captured = this.#snapLength === 0 ? length : Math.min(length, this.#snapLength);
    const ring = this.#ring;
    // the statistics find room however slow the reader is: they tell what it missed
    const spare = this.#interfaces.length * STATISTICS_BYTES;
    const blockBytes = packetBlockBytes(captured, comment);
    const block = ring.state === RUNNING ? ring.reserve(blockBytes, spare) : -1;
    if (block < 0) {
      one.missed++;
      return;
    }
    this.#clock.at(nowNs);
    writePacketBlock(ring.view, block, id, this.#clock, captured, length, direction, comment);
    ring.bytes.set(bytes.subarray(at, at + captured), block + PACKET_DATA);
    ring.commit(order);
    this.#recorded++;
    this.#bytes += captured;
  }

  miss(id: number): void {
    const one = this.#interfaces[id];
    if (one === undefined) return;
    one.seen++;
    one.missed++;
  }

  /** Hands the writer what came: once a turn of the loop. */
  flush(): void {
    this.#ring.publish();
  }

  /** Writes the statistics and lets the writer end when it has written all. */
  finish(nowNs: number): void {
    const time = this.#clock.bigintAt(nowNs);
    this.#interfaces.forEach(({ seen, missed }, id) => {
      this.#ring.append(statisticsBlock(id, time, seen, missed), LAST);
    });
    this.#ring.publish();
    if (this.#ring.state === RUNNING) this.#ring.state = FINISH;
  }

  /** Waits until the writer has written all, at most `ms`. Blocks the thread. */
  waitEnded(ms: number): void {
    const step = 5;
    for (let waited = 0; waited < ms && !this.ended; waited += step) this.#ring.pause(step);
  }

  counters(): CaptureCounters {
    return {
      capture: this.spec.capture,
      recorded: this.#recorded,
      bytes: this.#bytes,
      missed: this.#interfaces.reduce((sum, { missed }) => sum + missed, 0),
    };
  }
}
