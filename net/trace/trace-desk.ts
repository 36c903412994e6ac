/**
 * The traces of a fabric. While there is one, every link has a watch before and a watch behind it;
 * while there is none, nothing of this stands in a frame's way.
 *
 *     NIC, switch --> [watch] --> link direction --> [watch] --> NIC, switch
 */

import type { LinkSpec, Trace, TraceSpec } from "../control/messages.ts";
import type { Counters } from "../counters.ts";
import type { Frame } from "../frame.ts";
import type { LinkDirection, Sink } from "../link.ts";
import type { Workbench } from "../workbench.ts";
import { type OpenCrossing, Tracer } from "./tracer.ts";

const MOST_TRACES = 32;

/** One direction of a link, and how to put something else where frames enter it. */
export interface Traceable {
  readonly direction: LinkDirection;
  readonly connect: (entry: Sink) => void;
  /** Where drops of what it leads to are counted. */
  readonly behind: Counters;
}

export interface TraceableLink {
  readonly spec: LinkSpec;
  readonly directions: readonly [Traceable, Traceable];
}

export class TraceDesk {
  readonly #tracers = new Map<string, Tracer>();
  readonly #watched = new Map<string, () => void>();
  readonly #bench: () => Workbench;
  readonly #nowNs: () => number;

  /** @param nowNs the time of each sighting, on the fabric's clock. */
  constructor(bench: () => Workbench, nowNs: () => number) {
    this.#bench = bench;
    this.#nowNs = nowNs;
  }

  start(spec: TraceSpec, links: Iterable<TraceableLink>): void {
    if (this.#tracers.has(spec.trace)) throw new RangeError(`there is a trace ${spec.trace}`);
    if (this.#tracers.size === MOST_TRACES) throw new RangeError("there are too many traces");
    this.#tracers.set(spec.trace, new Tracer(spec));
    if (this.#watched.size === 0) for (const link of links) this.#watch(link);
  }

  stop(name: string): Trace {
    const tracer = this.#tracers.get(name);
    if (tracer === undefined) throw new RangeError(`there is no trace ${name}`);
    this.#tracers.delete(name);
    if (this.#tracers.size === 0) {
      for (const unwatch of this.#watched.values()) unwatch();
      this.#watched.clear();
    }
    return tracer.result();
  }

  addLink(link: TraceableLink): void {
    if (this.#tracers.size > 0) this.#watch(link);
  }

  removeLink(name: string): void {
    this.#watched.get(name)?.();
    this.#watched.delete(name);
  }

  #watch({ spec, directions }: TraceableLink): void {
    const undo = directions.map(({ direction, connect, behind }, index) => {
      const { destination } = direction;
      const place = { link: spec.link, direction: index as 0 | 1 };
      direction.leadTo(new ExitWatch(this, place, destination, behind));
      connect(new EntryWatch(this, place, direction));
      return () => {
        direction.leadTo(destination);
        connect(direction);
      };
    });
    this.#watched.set(spec.link, () => {
      for (const one of undo) one();
    });
  }

  /** The crossings that a frame begins here; none for most frames. */
  enter(place: Place, frame: Frame): readonly Begun[] {
    if (frame.gsoSize !== 0) return NOTHING; // a probe is never that long
    const begun: Begun[] = [];
    const bench = this.#bench();
    bench.gather(frame, bench.segmentAt);
    const nowNs = this.#nowNs();
    for (const tracer of this.#tracers.values()) {
      const seen = tracer.recogniser.look(bench.u8, bench.segmentAt, frame.bytes);
      if (seen === undefined) continue;
      const crossing = tracer.enter(place.link, place.direction, nowNs, seen);
      if (crossing !== undefined) begun.push({ tracer, crossing });
    }
    return begun;
  }

  /** The crossings that end with a frame that comes out here. */
  leave(place: Place, frame: Frame): readonly OpenCrossing[] {
    if (frame.gsoSize !== 0) return NONE;
    const ended: OpenCrossing[] = [];
    const bench = this.#bench();
    bench.gather(frame, bench.segmentAt);
    for (const tracer of this.#tracers.values()) {
      const seen = tracer.recogniser.look(bench.u8, bench.segmentAt, frame.bytes);
      const crossing = seen && tracer.find(place.link, place.direction, seen);
      if (crossing !== undefined) ended.push(crossing);
    }
    return ended;
  }

  get nowNs(): number {
    return this.#nowNs();
  }
}

interface Place {
  readonly link: string;
  readonly direction: 0 | 1;
}

interface Begun {
  readonly tracer: Tracer;
  readonly crossing: OpenCrossing;
}

const NOTHING: readonly Begun[] = [];
const NONE: readonly OpenCrossing[] = [];

class EntryWatch implements Sink {
  readonly #desk: TraceDesk;
  readonly #place: Place;
  readonly #direction: LinkDirection;

  constructor(desk: TraceDesk, place: Place, direction: LinkDirection) {
    this.#desk = desk;
    this.#place = place;
    this.#direction = direction;
  }

  send(frame: Frame): boolean {
    const begun = this.#desk.enter(this.#place, frame);
    const { counters } = this.#direction;
    const before = counters.dropped;
    const taken = this.#direction.send(frame);
    for (const { tracer, crossing } of begun) {
      if (!taken) tracer.withdraw(crossing);
      else if (crossing.leftNs === null && crossing.drop === null && counters.dropped > before) {
        crossing.drop = counters.lastDrop;
      }
    }
    return taken;
  }
}

class ExitWatch implements Sink {
  readonly #desk: TraceDesk;
  readonly #place: Place;
  readonly #destination: Sink;
  readonly #behind: Counters;

  constructor(desk: TraceDesk, place: Place, destination: Sink, behind: Counters) {
    this.#desk = desk;
    this.#place = place;
    this.#destination = destination;
    this.#behind = behind;
  }

  send(frame: Frame): boolean {
    const { nowNs } = this.#desk; // looking at it takes time too
    const ended = this.#desk.leave(this.#place, frame);
    if (ended.length === 0) return this.#destination.send(frame);
    for (const crossing of ended) crossing.leftNs = nowNs;
    const before = this.#behind.dropped;
    const taken = this.#destination.send(frame);
    const dropped = taken && this.#behind.dropped > before;
    if (taken && !dropped) return true;
    for (const crossing of ended) {
      crossing.leftNs = null;
      if (dropped) crossing.drop = this.#behind.lastDrop;
    }
    return taken;
  }
}
