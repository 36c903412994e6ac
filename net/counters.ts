/** What passed in one direction at one place, and what did not, by reason. */

import type { DirectionCounters, DropReason } from "./control/messages.ts";
import type { Frame } from "./frame.ts";

export const DROP_REASONS = [
  "link-down",
  "no-peer",
  "stalled",
  "no-buffer",
  "too-long",
  "malformed",
  "loss",
  "queue-full",
  "vlan",
  "reserved-group",
  "storm",
  "not-allowed",
] as const satisfies readonly DropReason[];

export class Counters {
  frames = 0;
  bytes = 0;
  /** All that was dropped, and why the last one was. */
  dropped = 0;
  lastDrop: DropReason | null = null;
  readonly #drops = new Float64Array(DROP_REASONS.length);

  pass(frame: Frame): void {
    if (frame.gsoSize === 0) {
      this.frames++;
      this.bytes += frame.bytes;
    } else {
      this.frames += frame.wireFrames;
      this.bytes += frame.wireBytes;
    }
  }

  drop(reason: DropReason, frames = 1): void {
    this.#drops[DROP_REASONS.indexOf(reason)]! += frames;
    this.dropped += frames;
    this.lastDrop = reason;
  }

  toJSON(): DirectionCounters {
    const drops: Partial<Record<DropReason, number>> = {};
    DROP_REASONS.forEach((reason, index) => {
      const count = this.#drops[index]!;
      if (count > 0) drops[reason] = count;
    });
    return { frames: this.frames, bytes: this.bytes, drops };
  }
}
