/**
 * Counts frames as they pass, and keeps none: how many, when the first and the last came, how long
 * it was silent in between. A recorder behind taps as a capture is, without a file.
 *
 *     tap --> filter --> place: frames, bytes, first, last, silences, slices
 */

import { compileFilter, type FrameFilter } from "../capture/filter.ts";
import type { WatchCounters, WatchedPlace, WatchSpec } from "../control/messages.ts";
import type { Recorder } from "../tap.ts";

/** Of each place; the longest stay. */
const MOST_GAPS = 64;
/** A longer watch counts no slices any more. */
const MOST_SLICES = 4096;

interface Place {
  readonly end: string;
  readonly link: string;
  readonly way: WatchedPlace["way"];
  frames: number;
  bytes: number;
  /** Of all places of the watch, which saw its first frame when: 1 is the earliest. */
  order: number;
  firstNs: number;
  lastNs: number;
  readonly gaps: { readonly fromNs: number; readonly toNs: number }[];
  readonly slices: number[];
}

export class Watch implements Recorder {
  readonly spec: WatchSpec;
  readonly #filter: FrameFilter;
  readonly #startedNs: number;
  readonly #gapNs: number;
  readonly #sliceNs: number;
  readonly #places: Place[] = [];
  #orders = 0;

  /** Throws a FilterError. */
  constructor(spec: WatchSpec, nowNs: number) {
    this.spec = spec;
    this.#filter = compileFilter(spec.filter);
    this.#startedNs = nowNs;
    this.#gapNs = spec.gapMs === undefined ? Number.POSITIVE_INFINITY : spec.gapMs * 1e6;
    this.#sliceNs = (spec.sliceMs ?? 0) * 1e6;
  }

  /** The number of a new place. */
  place(end: string, link: string, way: WatchedPlace["way"]): number {
    this.#places.push({
      ...{ end, link, way, frames: 0, bytes: 0, order: 0, firstNs: 0, lastNs: 0 },
      ...{ gaps: [], slices: [] },
    });
    return this.#places.length - 1;
  }

  record(id: number, bytes: Uint8Array, at: number, length: number, nowNs: number): void {
    const place = this.#places[id];
    if (place === undefined || !this.#filter(bytes, at, length)) return;
    if (place.frames === 0) {
      place.order = ++this.#orders;
      place.firstNs = nowNs;
    } else if (nowNs - place.lastNs > this.#gapNs) {
      remember(place.gaps, { fromNs: place.lastNs, toNs: nowNs });
    }
    place.lastNs = nowNs;
    place.frames++;
    place.bytes += length;
    if (this.#sliceNs === 0) return;
    const slice = Math.floor((nowNs - this.#startedNs) / this.#sliceNs);
    if (slice < MOST_SLICES) place.slices[slice] = (place.slices[slice] ?? 0) + 1;
  }

  /** It matches no filter either. */
  miss(): void {}

  /** @param originMs milliseconds since 1970 at time 0 of the fabric's clock. */
  counters(originMs: number, nowNs: number): WatchCounters {
    const ms = (ns: number) => originMs + ns / 1e6;
    return {
      watch: this.spec.watch,
      startedMs: ms(this.#startedNs),
      nowMs: ms(nowNs),
      places: this.#places.map((place) => ({
        end: place.end,
        link: place.link,
        way: place.way,
        frames: place.frames,
        bytes: place.bytes,
        order: place.order,
        firstMs: place.frames === 0 ? null : ms(place.firstNs),
        lastMs: place.frames === 0 ? null : ms(place.lastNs),
        gaps: place.gaps.map(({ fromNs, toNs }) => ({ fromMs: ms(fromNs), toMs: ms(toNs) })),
        slices: Array.from(place.slices, (count) => count ?? 0),
      })),
    };
  }
}

/** Keeps the longest, in their order. */
function remember(gaps: Place["gaps"], gap: Place["gaps"][number]): void {
  gaps.push(gap);
  if (gaps.length <= MOST_GAPS) return;
  let shortest = 0;
  gaps.forEach(({ fromNs, toNs }, index) => {
    const least = gaps[shortest]!;
    if (toNs - fromNs < least.toNs - least.fromNs) shortest = index;
  });
  gaps.splice(shortest, 1);
}
