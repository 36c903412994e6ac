/** One trace: the crossings that its probes, and what has to do with them, made so far. */

import type { Crossing, DropReason, Trace, TracedFrame, TraceSpec } from "../control/messages.ts";
import { Recogniser } from "./recogniser.ts";

/** A lab that is flooded while it is traced: what is kept has an end. */
const MOST_CROSSINGS = 8192;
/** Questions for addresses may be many, and a probe needs few: they leave room for the rest. */
const MOST_QUESTIONS = 4096;

export interface OpenCrossing extends Crossing {
  leftNs: number | null;
  drop: DropReason | null;
}

export class Tracer {
  readonly spec: TraceSpec;
  readonly recogniser: Recogniser;
  readonly #crossings: OpenCrossing[] = [];
  #questions = 0;
  #missed = 0;

  constructor(spec: TraceSpec) {
    this.spec = spec;
    this.recogniser = new Recogniser(spec);
  }

  /** A frame enters a link; undefined where no more are kept. */
  enter(
    link: string,
    direction: 0 | 1,
    enteredNs: number,
    frame: TracedFrame,
  ): OpenCrossing | undefined {
    const question = frame.kind === "ask" || frame.kind === "tell";
    if (
      this.#crossings.length >= MOST_CROSSINGS ||
      (question && this.#questions >= MOST_QUESTIONS)
    ) {
      this.#missed++;
      return undefined;
    }
    if (question) this.#questions++;
    const crossing: OpenCrossing = { link, direction, enteredNs, leftNs: null, drop: null, frame };
    this.#crossings.push(crossing);
    return crossing;
  }

  /** It did not enter after all: its sender will try again. All that entered later go with it. */
  withdraw(crossing: OpenCrossing): void {
    const at = this.#crossings.lastIndexOf(crossing);
    if (at >= 0) this.#crossings.length = at;
  }

  /** The crossing that a frame which comes out of a link began with. */
  find(link: string, direction: 0 | 1, frame: TracedFrame): OpenCrossing | undefined {
    return this.#crossings.find(
      (one) =>
        one.leftNs === null &&
        one.drop === null &&
        one.link === link &&
        one.direction === direction &&
        isSame(one.frame, frame),
    );
  }

  result(): Trace {
    return { trace: this.spec.trace, crossings: this.#crossings, missed: this.#missed };
  }
}

function isSame(a: TracedFrame, b: TracedFrame): boolean {
  return (
    a.kind === b.kind &&
    a.probe === b.probe &&
    a.ttl === b.ttl &&
    a.from === b.from &&
    a.to === b.to &&
    a.fromMac === b.fromMac &&
    a.toMac === b.toMac
  );
}
