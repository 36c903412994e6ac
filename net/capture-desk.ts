/** The captures of a fabric: puts taps on links, on those that are added later too, and takes them off. */

import { Capture } from "./capture/capture.ts";
import { INBOUND, OUTBOUND } from "./capture/pcapng.ts";
import {
  type CaptureCounters,
  type CaptureSpec,
  endName,
  type LinkSpec,
} from "./control/messages.ts";
import type { LinkDirection } from "./link.ts";
import { Tap } from "./tap.ts";

const MOST_CAPTURES = 32;
const CLOSE_MS = 8000;

type WhenWritten = (recorded: CaptureCounters | undefined) => void;

interface Tapped {
  readonly spec: LinkSpec;
  readonly directions: readonly [LinkDirection, LinkDirection];
}

export class CaptureDesk {
  readonly #clock: { readonly nowNs: number };
  readonly #captures = new Map<string, Capture>();
  /** Those that record no more and are not written yet. */
  readonly #ending = new Map<Capture, WhenWritten | undefined>();
  readonly #links = new Map<string, Tapped>();

  constructor(clock: { readonly nowNs: number }) {
    this.#clock = clock;
  }

  /** Whether `flush` must be called soon. */
  get areEnding(): boolean {
    return this.#ending.size > 0;
  }

  /** Throws where there is one of that name, or its filter is none. */
  start(spec: CaptureSpec, links: Iterable<Tapped>): void {
    if (this.#captures.has(spec.capture)) throw new Error(`there is a capture ${spec.capture}`);
    if (this.#captures.size === MOST_CAPTURES) throw new Error("there are too many captures");
    const originNs = BigInt(Math.round(performance.timeOrigin * 1000)) * 1000n;
    const capture = new Capture(spec, originNs);
    this.#captures.set(spec.capture, capture);
    for (const link of links) this.#tap(capture, link);
  }

  /** One that ended by itself is told of as undefined, at once. */
  stop(name: string, onWritten?: WhenWritten): void {
    const capture = this.#captures.get(name);
    if (capture === undefined) {
      onWritten?.(undefined);
      return;
    }
    this.#captures.delete(name);
    for (const { directions } of this.#links.values()) {
      for (const direction of directions) direction.untap(capture);
    }
    capture.finish(this.#clock.nowNs);
    this.#ending.set(capture, onWritten);
  }

  /** Stops all, and waits until they are written; not for ever, a disk may be slow. */
  close(): void {
    for (const name of [...this.#captures.keys()]) this.stop(name);
    const deadline = performance.now() + CLOSE_MS;
    for (const capture of this.#ending.keys()) capture.waitEnded(deadline - performance.now());
  }

  addLink(spec: LinkSpec, directions: Tapped["directions"]): void {
    const link = { spec, directions };
    this.#links.set(spec.link, link);
    for (const capture of this.#captures.values()) this.#tap(capture, link);
  }

  removeLink(name: string): void {
    this.#links.delete(name);
  }

  /** Once a turn: wakes the writers, and takes the taps of those off that are gone. */
  flush(): void {
    if (this.#captures.size === 0 && this.#ending.size === 0) return;
    for (const [name, capture] of this.#captures) {
      if (capture.ended) this.stop(name);
      else capture.flush();
    }
    for (const [capture, onWritten] of this.#ending) {
      if (!capture.ended) continue;
      this.#ending.delete(capture);
      onWritten?.(capture.counters());
    }
  }

  counters(): readonly CaptureCounters[] {
    return [...this.#captures.values()].map((capture) => capture.counters());
  }

  #tap(capture: Capture, { spec, directions }: Tapped): void {
    const { of } = capture.spec;
    if (of.kind === "link" && of.link !== spec.link) return;
    spec.ends.forEach((end, index) => {
      const name = endName(end);
      if (of.kind === "nic") {
        if (end.kind !== "nic" || of.nic !== name) return;
        const id = capture.interface(name, `link ${spec.link}`);
        const out = directions[index as 0 | 1];
        const back = directions[(1 - index) as 0 | 1];
        out.entryTaps = [...out.entryTaps, new Tap(capture, id, OUTBOUND, true)];
        back.exitTaps = [...back.exitTaps, new Tap(capture, id, INBOUND, false)];
        return;
      }
      // a switch has many ports: the link tells them apart
      const port = end.kind !== "switch" ? name : `${name}/${spec.link}`;
      const id = capture.interface(port, `frames into link ${spec.link} from ${name}`);
      const direction = directions[index as 0 | 1];
      direction.entryTaps = [...direction.entryTaps, new Tap(capture, id, OUTBOUND, true)];
    });
  }
}
