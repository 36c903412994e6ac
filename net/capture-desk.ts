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
const CLOSE_MS = 1500;

interface Tapped {
  readonly spec: LinkSpec;
  readonly directions: readonly [LinkDirection, LinkDirection];
}

export class CaptureDesk {
  readonly #clock: { readonly nowNs: number };
  readonly #onEnded: (counters: CaptureCounters) => void;
  readonly #captures = new Map<string, Capture>();
  readonly #links = new Map<string, Tapped>();

  constructor(clock: { readonly nowNs: number }, onEnded: (counters: CaptureCounters) => void) {
    this.#clock = clock;
    this.#onEnded = onEnded;
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

  stop(name: string): void {
    const capture = this.#captures.get(name);
    if (capture === undefined) throw new Error(`there is no capture ${name}`);
    this.#captures.delete(name);
    for (const { directions } of this.#links.values()) {
      for (const direction of directions) direction.untap(capture);
    }
    capture.finish(this.#clock.nowNs);
    this.#onEnded(capture.counters());
  }

  /** Stops all, and waits until they are written; not for ever, a reader may have stopped. */
  close(): void {
    const captures = [...this.#captures.values()];
    for (const name of [...this.#captures.keys()]) this.stop(name);
    const deadline = performance.now() + CLOSE_MS;
    for (const capture of captures) capture.waitEnded(deadline - performance.now());
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
    if (this.#captures.size === 0) return;
    for (const [name, capture] of this.#captures) {
      if (capture.ended) this.stop(name);
      else capture.flush();
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
