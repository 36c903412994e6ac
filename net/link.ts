/**
 * A cable: two directions, each from what is plugged in at one end to what is at the other.
 *
 *     end a -- directions[0] --> end b
 *     end a <-- directions[1] -- end b
 *
 * Whatever acts on frames on their way (impairment, capture, tracing) stands between a direction
 * and its destination as one more `Sink`, and is not there when it has nothing to do.
 */

import type { DropReason } from "./control/messages.ts";
import { Counters } from "./counters.ts";
import type { Frame } from "./frame.ts";

/** Where a frame can be sent. */
export interface Sink {
  /**
   * Takes the frame (passes it on or drops and counts it) and answers true; or answers false: not
   * now, keep it, the sender will be woken. The frame is the caller's again when this returns.
   */
  send(frame: Frame): boolean;
}

/** Frames cross at most so many links: a loop of hubs ends here. */
const MOST_HOPS = 64;

export class LinkDirection implements Sink {
  readonly counters = new Counters();
  up: boolean;
  #destination: Sink;

  constructor(destination: Sink, up: boolean) {
    this.#destination = destination;
    this.up = up;
  }

  /** Puts something between this direction and where it leads, or takes it away again. */
  leadTo(destination: Sink): void {
    this.#destination = destination;
  }

  drop(reason: DropReason): true {
    this.counters.drop(reason);
    return true;
  }

  send(frame: Frame): boolean {
    if (!this.up) return this.drop("link-down");
    if (frame.hops >= MOST_HOPS) return this.drop("storm");
    frame.hops++;
    const taken = this.#destination.send(frame);
    frame.hops--;
    if (taken) this.counters.pass(frame);
    return taken;
  }
}
