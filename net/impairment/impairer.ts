/**
 * Decides what becomes of each frame of one direction of a link. Pure: time comes in, a fate comes
 * out, nothing is moved here.
 *
 *     frame --> lost? --> queue (full?) --> sent at `rate` --> on its way for delay ± jitter --> out
 *                                             finish            departs
 *
 * - Every frame takes six numbers from the direction's random stream, whatever is switched on: so
 *   the fate of frame number n depends on the seed and on n only, and a higher loss loses the same
 *   frames and more.
 * - The rate is a virtual finish time with its remainder carried on: the long-run rate is exact, no
 *   burst is let through. Bytes are those of the Ethernet frame without preamble, FCS and gap, as
 *   `tc` counts them. A lost frame takes nothing of the rate (as in netem); a duplicate does.
 * - Jitter is uniform in delay ± jitter, never below 0, and keeps the order: a frame that would
 *   overtake leaves right behind the one before it. Only `reorder` reorders: such a frame skips the
 *   delay (as in netem), or, where there is none, is held back behind the next frame.
 *
 * Times are whole nanoseconds as numbers; they stay exact for 104 days of a fabric's life.
 */

import type { Random } from "../../base/random.ts";
import type { Impairment } from "../control/messages.ts";

/** What `judge` answers: bits. LOST and QUEUE_FULL mean that the frame ends here. */
export const LOST = 1;
export const QUEUE_FULL = 2;
export const CORRUPTED = 4;
export const DUPLICATED = 8;
/** The copy of a duplicated frame found the queue full. */
export const DUPLICATE_DROPPED = 16;
export const REORDERED = 32;
/** To be held back behind the next frame, at most until `departsNs`. */
export const HELD_BACK = 64;

/** What waits where a link has a rate and no queue of its own; netem's default. */
export const DEFAULT_QUEUE_FRAMES = 1000;
/** A frame that waits to be overtaken, and is not, leaves after this. */
export const LONGEST_HOLD_NS = 10e6;
const LONGEST_DELAY_NS = 3600e9;
const MOST_QUEUED = 1_000_000;
const NS_BITS = 8e9; // bits a byte, nanoseconds a second

export class Impairer {
  /** When the frame judged last leaves the link; its duplicate follows at `duplicateDepartsNs`. */
  departsNs = 0;
  duplicateDepartsNs = 0;
  /** Where it is corrupted, 0 … 1 of its bits. */
  corruptAt = 0;
  readonly #random: Random;
  readonly #queue = new SendQueue();
  #loss = 0;
  #duplicate = 0;
  #corrupt = 0;
  #reorder = 0;
  #delayNs = 0;
  #jitterNs = 0;
  #rate = 0;
  #mostFrames = Number.POSITIVE_INFINITY;
  #mostBytes = Number.POSITIVE_INFINITY;
  #finishNs = 0;
  #remainder = 0;
  #lastNs = 0;

  /** @param random a stream of this direction's own. */
  constructor(random: Random) {
    this.#random = random;
  }

  /** Takes other settings; what is queued or on its way keeps its times. */
  set(impairment: Impairment): void {
    const { queue, rateBitsPerSec = 0 } = impairment;
    this.#loss = impairment.loss ?? 0;
    this.#duplicate = impairment.duplicate ?? 0;
    this.#corrupt = impairment.corrupt ?? 0;
    this.#reorder = impairment.reorder ?? 0;
    this.#delayNs = impairment.delayNs ?? 0;
    this.#jitterNs = impairment.jitterNs ?? 0;
    if (rateBitsPerSec !== this.#rate) this.#remainder = 0;
    this.#rate = rateBitsPerSec;
    this.#mostBytes =
      queue !== undefined && "bytes" in queue ? queue.bytes : Number.POSITIVE_INFINITY;
    this.#mostFrames =
      queue === undefined ? DEFAULT_QUEUE_FRAMES : "frames" in queue ? queue.frames : MOST_QUEUED;
  }

  /** The fate of the next frame. `nowNs` never goes back. */
  judge(bytes: number, nowNs: number): number {
    const random = this.#random;
    const loss = random.float();
    const duplicate = random.float();
    const corrupt = random.float();
    this.corruptAt = random.float();
    const reorder = random.float();
    const jitter = random.float();
    if (loss < this.#loss) return LOST;
    const finish = this.#send(bytes, nowNs);
    if (finish < 0) return QUEUE_FULL;
    let fate = corrupt < this.#corrupt ? CORRUPTED : 0;
    const delay = Math.max(0, this.#delayNs + Math.round(this.#jitterNs * (2 * jitter - 1)));
    if (reorder < this.#reorder) {
      fate |= REORDERED;
      if (this.#delayNs > 0) {
        this.departsNs = finish;
      } else {
        fate |= HELD_BACK;
        this.departsNs = finish + LONGEST_HOLD_NS;
      }
    } else {
      this.departsNs = this.#inOrder(finish + delay);
    }
    if (duplicate >= this.#duplicate) return fate;
    const again = this.#send(bytes, nowNs);
    if (again < 0) return fate | DUPLICATE_DROPPED;
    this.duplicateDepartsNs = this.#inOrder(again + delay);
    return fate | DUPLICATED;
  }

  /** Frames that wait to be sent, the one that is being sent among them. */
  queued(nowNs: number): number {
    this.#queue.forgetSent(nowNs);
    return this.#queue.frames;
  }

  #inOrder(departs: number): number {
    this.#lastNs = Math.max(this.#lastNs, departs);
    return this.#lastNs;
  }

  /** When the last bit of the frame has been sent; -1 where the queue is full. */
  #send(bytes: number, nowNs: number): number {
    if (this.#rate === 0) return Math.max(nowNs, this.#finishNs);
    const queue = this.#queue;
    queue.forgetSent(nowNs);
    // an empty queue takes one frame of any size
    if (
      queue.frames > 0 &&
      (queue.frames >= this.#mostFrames || queue.bytes + bytes > this.#mostBytes)
    ) {
      return -1;
    }
    // in integers below 2^53: no fraction of a nanosecond is ever lost
    const work = bytes * NS_BITS + this.#remainder;
    const ns = Math.floor(work / this.#rate);
    this.#remainder = work - ns * this.#rate;
    this.#finishNs = Math.max(nowNs, this.#finishNs) + ns;
    queue.push(this.#finishNs, bytes);
    return this.#finishNs;
  }
}

/** When each queued frame will have been sent, in a ring that grows as needed. */
class SendQueue {
  frames = 0;
  bytes = 0;
  #finishes = new Float64Array(64);
  #lengths = new Int32Array(64);
  #first = 0;

  push(finishNs: number, bytes: number): void {
    if (this.frames === this.#finishes.length) this.#grow();
    const at = (this.#first + this.frames) & (this.#finishes.length - 1);
    this.#finishes[at] = finishNs;
    this.#lengths[at] = bytes;
    this.frames++;
    this.bytes += bytes;
  }

  forgetSent(nowNs: number): void {
    while (this.frames > 0 && this.#finishes[this.#first]! <= nowNs) {
      this.bytes -= this.#lengths[this.#first]!;
      this.#first = (this.#first + 1) & (this.#finishes.length - 1);
      this.frames--;
    }
  }

  #grow(): void {
    const size = this.#finishes.length;
    const finishes = new Float64Array(size * 2);
    const lengths = new Int32Array(size * 2);
    for (let i = 0; i < size; i++) {
      finishes[i] = this.#finishes[(this.#first + i) & (size - 1)]!;
      lengths[i] = this.#lengths[(this.#first + i) & (size - 1)]!;
    }
    this.#finishes = finishes;
    this.#lengths = lengths;
    this.#first = 0;
  }
}

/** Whether nothing is impaired: such a direction has no impairer. */
export function isPerfect(one: Impairment): boolean {
  const { loss, duplicate, corrupt, reorder, delayNs, jitterNs, rateBitsPerSec } = one;
  return ![loss, duplicate, corrupt, reorder, delayNs, jitterNs, rateBitsPerSec].some(
    (value) => value !== undefined && value > 0,
  );
}

/** Whether the frames of a wire must be seen one by one; a mere delay can keep them together. */
export function needsSingleFrames(one: Impairment): boolean {
  const { delayNs: _, ...rest } = one;
  return !isPerfect(rest);
}

/** What is wrong with settings that came from elsewhere, or undefined. */
export function whatIsWrong(one: Impairment): string | undefined {
  for (const key of ["loss", "duplicate", "corrupt", "reorder"] as const) {
    const value = one[key] ?? 0;
    if (!(value >= 0 && value <= 1)) return `${key} is ${value}, not a fraction from 0 to 1`;
  }
  for (const key of ["delayNs", "jitterNs"] as const) {
    const value = one[key] ?? 0;
    if (!(Number.isInteger(value) && value >= 0 && value <= LONGEST_DELAY_NS)) {
      return `${key} is ${value}, not from 0 to an hour`;
    }
  }
  const rate = one.rateBitsPerSec ?? 0;
  if (!(Number.isInteger(rate) && rate >= 0 && rate <= 1e12)) {
    return `rateBitsPerSec is ${rate}, not from 1 to 10^12`;
  }
  if (one.queue === undefined) return undefined;
  const most = "frames" in one.queue ? one.queue.frames : one.queue.bytes;
  if (!(Number.isInteger(most) && most >= 1)) return `a queue of ${most} holds nothing`;
  if ("frames" in one.queue && most > MOST_QUEUED) return `a queue of ${most} frames is too long`;
  return undefined;
}
