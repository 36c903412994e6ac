/** The watches of a fabric: puts their taps on links, on those that are added later too. */

import { endName, type LinkSpec, type WatchCounters, type WatchSpec } from "./control/messages.ts";
import type { LinkDirection } from "./link.ts";
import { Tap } from "./tap.ts";
import { Watch } from "./watch/watch.ts";

const MOST_WATCHES = 256;

interface Tapped {
  readonly spec: LinkSpec;
  readonly directions: readonly [LinkDirection, LinkDirection];
}

export class WatchDesk {
  readonly #clock: { readonly nowNs: number };
  readonly #watches = new Map<string, Watch>();
  readonly #links = new Map<string, Tapped>();

  constructor(clock: { readonly nowNs: number }) {
    this.#clock = clock;
  }

  /** Throws where there is one of that name, or its filter is none. */
  start(spec: WatchSpec): void {
    if (this.#watches.has(spec.watch)) throw new Error(`there is a watch ${spec.watch}`);
    if (this.#watches.size === MOST_WATCHES) throw new Error("there are too many watches");
    const watch = new Watch(spec, this.#clock.nowNs);
    this.#watches.set(spec.watch, watch);
    for (const link of this.#links.values()) tap(watch, link);
  }

  stop(name: string): void {
    const watch = this.#watches.get(name);
    if (watch === undefined) throw new Error(`there is no watch ${name}`);
    this.#watches.delete(name);
    for (const { directions } of this.#links.values()) {
      for (const direction of directions) direction.untap(watch);
    }
  }

  addLink(spec: LinkSpec, directions: Tapped["directions"]): void {
    const link = { spec, directions };
    this.#links.set(spec.link, link);
    for (const watch of this.#watches.values()) tap(watch, link);
  }

  removeLink(name: string): void {
    this.#links.delete(name);
  }

  counters(): readonly WatchCounters[] {
    return [...this.#watches.values()].map((watch) =>
      watch.counters(performance.timeOrigin, this.#clock.nowNs),
    );
  }
}

function tap(watch: Watch, { spec, directions }: Tapped): void {
  const { of } = watch.spec;
  if (of.kind === "link" && of.link !== spec.link) return;
  spec.ends.forEach((end, index) => {
    const name = endName(end);
    if (of.kind === "nics" && end.kind !== "nic") return;
    const out = directions[index as 0 | 1];
    const id = watch.place(name, spec.link, "out");
    out.entryTaps = [...out.entryTaps, new Tap(watch, id, 0, false)];
    if (of.kind === "link") return;
    const back = directions[(1 - index) as 0 | 1];
    const inId = watch.place(name, spec.link, "in");
    back.exitTaps = [...back.exitTaps, new Tap(watch, inId, 0, false)];
  });
}
