/** Where a capture or a watch listens: at a direction of a link, before or behind what impairs it. */

import type { Frame } from "./frame.ts";
import {
  CORRUPTED,
  DUPLICATE_DROPPED,
  DUPLICATED,
  HELD_BACK,
  LOST,
  QUEUE_FULL,
  REORDERED,
} from "./impairment/impairer.ts";
import type { Workbench } from "./workbench.ts";

/** What became of a frame, for the capture's comment; `fate` are the impairer's bits. */
export function fateText(fate: number): string {
  if ((fate & LOST) !== 0) return "lost";
  if ((fate & QUEUE_FULL) !== 0) return "queue full";
  const words = ["delivered"];
  if ((fate & CORRUPTED) !== 0) words.push("corrupted");
  if ((fate & (REORDERED | HELD_BACK)) !== 0) words.push("reordered");
  if ((fate & DUPLICATED) !== 0) words.push("duplicated");
  if ((fate & DUPLICATE_DROPPED) !== 0) words.push("its duplicate found the queue full");
  return words.join(", ");
}

const COMMENTS = Array.from({ length: 128 }, (_, fate) => Buffer.from(fateText(fate)));

let orders = 0;

/**
 * A link knows only when it is told of a frame's arrival whether the frame crossed it, and then links
 * behind it have recorded it already. So each takes a number when the frame comes.
 */
export const nextOrder = (): number => ++orders;

/** What a tap leads to. */
export interface Recorder {
  /** Takes a frame in one piece. @param comment its fate, UTF-8. @param order see `nextOrder`. */
  record(
    id: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    nowNs: number,
    direction: number,
    comment: Uint8Array | undefined,
    order: number,
  ): void;
  /** A frame passed that can't be recorded. */
  miss(id: number): void;
}

export class Tap {
  readonly recorder: Recorder;
  readonly #id: number;
  readonly #direction: number;
  readonly #tellsFate: boolean;

  constructor(recorder: Recorder, id: number, direction: number, tellsFate: boolean) {
    this.recorder = recorder;
    this.#id = id;
    this.#direction = direction;
    this.#tellsFate = tellsFate;
  }

  /** Records one frame of a wire that stands in one piece. */
  record(
    bytes: Uint8Array,
    at: number,
    length: number,
    nowNs: number,
    fate: number,
    order: number,
  ): void {
    const comment = this.#tellsFate ? COMMENTS[fate] : undefined;
    this.recorder.record(this.#id, bytes, at, length, nowNs, this.#direction, comment, order);
  }

  miss(): void {
    this.recorder.miss(this.#id);
  }
}

/** Records a frame as the wire would carry it; one that no wire could carry is counted as missed. */
export function recordFrame(
  taps: readonly Tap[],
  frame: Frame,
  bench: Workbench,
  nowNs: number,
  order: number,
): void {
  if (!bench.takeApart(frame)) {
    for (const tap of taps) tap.miss();
    return;
  }
  for (let length = bench.nextSegment(); length > 0; length = bench.nextSegment()) {
    for (const tap of taps) tap.record(bench.u8, bench.segmentAt, length, nowNs, 0, order);
  }
}
