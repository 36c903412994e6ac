/**
 * From crossings of single links to ways: which crossing continues which. A switch that floods makes
 * copies that end nowhere; of all ways, the one is taken on which most guests took the frame for
 * theirs, and that got furthest.
 */

import {
  type Crossing,
  endName,
  type LinkEnd,
  type TracedFrame,
} from "../../net/control/messages.ts";
import { type Port, portOf, type Wiring } from "./wiring.ts";

export type Spot =
  | ({ readonly kind: "guest" } & Port)
  | { readonly kind: "switch"; readonly switch: string }
  /** A TAP: what becomes of a frame at the host is not seen. */
  | { readonly kind: "tap"; readonly tap: string; readonly device: string };

/** A crossing with what stands at the link's ends. */
export interface Leg {
  readonly crossing: Crossing;
  readonly from: Spot;
  readonly to: Spot;
  /** The frame arrived at the guest whose MAC address it bears. */
  readonly accepted: boolean;
}

export type Kind = TracedFrame["kind"];

export function legsOf(crossings: readonly Crossing[], wiring: Wiring): Leg[] {
  return crossings.flatMap((crossing) => {
    const spec = wiring.link(crossing.link);
    if (spec === undefined) return [];
    const spots = spec.ends.map(spotOf);
    const [from, to] = (crossing.direction === 0 ? spots : [...spots].reverse()) as [Spot, Spot];
    const mine = wiring.byMac(crossing.frame.toMac);
    const accepted =
      crossing.leftNs !== null &&
      to.kind === "guest" &&
      mine?.guest === to.guest &&
      mine.interface === to.interface;
    return [{ crossing, from, to, accepted }];
  });
}

function spotOf(end: LinkEnd): Spot {
  if (end.kind === "nic") return { kind: "guest", ...portOf(end.nic) };
  return end.kind === "tap" ? end : { kind: "switch", switch: endName(end) };
}

export const guestOf = (spot: Spot): string | undefined =>
  spot.kind === "guest" ? spot.guest : undefined;

function samePlace(a: Spot, b: Spot): boolean {
  if (a.kind === "guest") return b.kind === "guest" && a.guest === b.guest;
  if (a.kind === "switch") return b.kind === "switch" && a.switch === b.switch;
  return false;
}

function continues(leg: Leg, next: Leg): boolean {
  const { crossing } = leg;
  const after = next.crossing;
  if (crossing.leftNs === null || after.enteredNs < crossing.leftNs) return false;
  if (!samePlace(leg.to, next.from)) return false;
  const [a, b] = [crossing.frame, after.frame];
  if (leg.to.kind === "switch") {
    const same = a.ttl === b.ttl && a.toMac === b.toMac && a.fromMac === b.fromMac;
    return same && after.link !== crossing.link;
  }
  return (b.ttl ?? 0) <= (a.ttl ?? 0);
}

/** How much a way says: guests that took the frame, then a known end, then its length. */
interface Value {
  readonly accepted: number;
  readonly ended: number;
  readonly length: number;
}

const better = (a: Value, b: Value): boolean =>
  a.accepted !== b.accepted
    ? a.accepted > b.accepted
    : a.ended !== b.ended
      ? a.ended > b.ended
      : a.length > b.length;

/** The furthest way of frames of one kind and probe that leave a guest; empty where none does. */
export function furthestWay(
  legs: readonly Leg[],
  kind: Kind,
  probe: number,
  start: string,
): readonly Leg[] {
  const mine = legs.filter(
    ({ crossing: { frame } }) => frame.kind === kind && frame.probe === probe,
  );
  const values: Value[] = [];
  const nexts: number[] = [];
  // crossings stand in the order they began: what continues one comes behind it
  for (let i = mine.length - 1; i >= 0; i--) {
    const leg = mine[i] as Leg;
    const own = {
      accepted: leg.accepted ? 1 : 0,
      ended: leg.crossing.drop === null ? 0 : 1,
      length: 1,
    };
    let best: Value = own;
    let next = -1;
    for (let j = i + 1; j < mine.length; j++) {
      if (!continues(leg, mine[j] as Leg)) continue;
      const rest = values[j] as Value;
      const value = {
        accepted: own.accepted + rest.accepted,
        ended: rest.ended,
        length: 1 + rest.length,
      };
      if (next < 0 || better(value, best)) {
        best = value;
        next = j;
      }
    }
    values[i] = best;
    nexts[i] = next;
  }
  let at = -1;
  for (const [i, leg] of mine.entries()) {
    if (guestOf(leg.from) !== start) continue;
    if (at < 0 || better(values[i] as Value, values[at] as Value)) at = i;
  }
  const way: Leg[] = [];
  for (; at >= 0; at = nexts[at] as number) way.push(mine[at] as Leg);
  return way;
}

/** Guests that a way passes, with the leg each was reached by. */
export function guestsOn(way: readonly Leg[]): { readonly guest: string; readonly leg: Leg }[] {
  return way.flatMap((leg) =>
    leg.to.kind === "guest" && leg.crossing.leftNs !== null ? [{ guest: leg.to.guest, leg }] : [],
  );
}
