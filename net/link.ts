/**
 * A cable: two directions, each from what is plugged in at one end to what is at the other.
 *
 *     end a -- directions[0] --> end b
 *     end a <-- directions[1] -- end b
 *
 * What acts on frames on their way (impairment, capture) stands between a direction and its
 * destination, and is not there when it has nothing to do:
 *
 *     send --> entry taps --> impairment --> exit taps --> destination
 */

import type { DropReason, Impairment } from "./control/messages.ts";
import { Counters } from "./counters.ts";
import type { Frame } from "./frame.ts";
import { ImpairedDirection } from "./impaired-direction.ts";
import { nextOrder, type Recorder, recordFrame, type Tap } from "./tap.ts";
import type { Workbench } from "./workbench.ts";

/** Where a frame can be sent. */
export interface Sink {
  /**
   * Takes the frame (passes it on or drops and counts it) and answers true; or answers false: not
   * now, keep it, the sender will be woken. The frame is the caller's again when this returns.
   */
  send(frame: Frame): boolean;
  /** How long before its time a frame should be sent here, to be seen in time. Nothing is 0. */
  readonly handoverNs?: number;
}

/** Frames cross at most so many links: a loop of hubs ends here. */
const MOST_HOPS = 64;

const NO_TAPS: readonly Tap[] = [];

export class LinkDirection implements Sink {
  readonly counters = new Counters();
  up: boolean;
  destination: Sink;
  /** Captures of the link, which see what enters with its fate, and of a NIC that receives. */
  entryTaps = NO_TAPS;
  exitTaps = NO_TAPS;
  readonly #clock: { readonly nowNs: number };
  readonly #bench: () => Workbench;
  #impaired: ImpairedDirection | undefined;
  /** Whether nothing but what is on its way is left to impair. */
  #mended = false;

  /** @param bench gives the fabric's workbench, where it is needed. */
  constructor(
    destination: Sink,
    up: boolean,
    clock: { readonly nowNs: number },
    bench: () => Workbench,
  ) {
    this.destination = destination;
    this.up = up;
    this.#clock = clock;
    this.#bench = bench;
  }

  leadTo(destination: Sink): void {
    this.destination = destination;
  }

  /** Takes off what leads to this recorder. */
  untap(recorder: Recorder): void {
    this.entryTaps = this.entryTaps.filter((tap) => tap.recorder !== recorder);
    this.exitTaps = this.exitTaps.filter((tap) => tap.recorder !== recorder);
  }

  drop(reason: DropReason): true {
    this.counters.drop(reason);
    return true;
  }

  send(frame: Frame): boolean {
    if (!this.up) return this.drop("link-down");
    if (frame.hops >= MOST_HOPS) return this.drop("storm");
    frame.hops++;
    let taken = true;
    if (this.#impaired !== undefined) {
      this.#impaired.send(frame, this.#clock.nowNs);
    } else {
      const tapped = this.entryTaps.length + this.exitTaps.length > 0;
      const order = tapped ? nextOrder() : 0;
      taken = this.destination.send(frame);
      if (taken) {
        this.counters.pass(frame);
        if (tapped) this.#record(frame, order);
      }
    }
    frame.hops--;
    return taken;
  }

  // ------------------------------------------------------------------ impairment

  get isImpaired(): boolean {
    return this.#impaired !== undefined;
  }

  /** Frame numbers go on where the direction is impaired already. */
  impair(impairment: Impairment, seed: number, stream: string): void {
    this.#impaired ??= new ImpairedDirection(this, this.#bench(), seed, stream);
    this.#impaired.set(impairment);
    this.#mended = false;
  }

  /** Impairs no more; frames on their way arrive before those that come now. */
  mend(): void {
    this.#impaired?.set({});
    this.#mended = true;
    this.#forgetIfDone();
  }

  get nextDueNs(): number {
    return this.#impaired?.nextDueNs ?? Number.POSITIVE_INFINITY;
  }

  /** Sends on what is due; false once nothing impairs it any more. */
  release(): boolean {
    const { nowNs } = this.#clock;
    if (this.nextDueNs <= nowNs) this.#impaired?.release(nowNs);
    this.#forgetIfDone();
    return this.isImpaired;
  }

  dispose(): void {
    this.#impaired?.dispose();
    this.#impaired = undefined;
  }

  #forgetIfDone(): void {
    if (this.#mended && this.#impaired?.isEmpty === true) this.#impaired = undefined;
  }

  #record(frame: Frame, order: number): void {
    for (const taps of [this.entryTaps, this.exitTaps]) {
      if (taps.length > 0) recordFrame(taps, frame, this.#bench(), this.#clock.nowNs, order);
    }
  }
}
