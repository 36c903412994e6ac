/** From legs to the hops that are drawn: guests with the time each took, switches, and cables. */

import { asking, familyOf } from "./case.ts";
import type { Hop } from "./explanation.ts";
import { asksOf, unanswered } from "./journey.ts";
import type { Leg, Spot } from "./way.ts";

export interface HopNotes {
  /** What the first and the last guest did, where it was more than sending and receiving. */
  readonly first?: string | null;
  readonly last?: string | null;
  /** When the first guest had got what it reacts to. */
  readonly sinceNs?: number | null;
}

export function hopsOf(way: readonly Leg[], notes: HopNotes = {}): Hop[] {
  const hops: Hop[] = [];
  const [start] = way;
  if (start === undefined) return hops;
  if (start.from.kind === "guest") {
    const since = notes.sinceNs ?? null;
    hops.push({
      kind: "guest",
      guest: start.from.guest,
      in: null,
      out: start.from.interface,
      ns: since === null ? null : start.crossing.enteredNs - since,
      ttl: start.crossing.frame.ttl ?? null,
      note: notes.first ?? null,
    });
  }
  for (const [index, leg] of way.entries()) {
    const { crossing } = leg;
    hops.push({
      kind: "link",
      link: crossing.link,
      from: placeName(leg.from),
      to: placeName(leg.to),
      ns: crossing.leftNs === null ? null : crossing.leftNs - crossing.enteredNs,
      fate: crossing.leftNs !== null ? "passed" : (crossing.drop ?? "under-way"),
      note: null,
    });
    if (crossing.leftNs === null) break;
    const next = way[index + 1];
    if (leg.to.kind === "tap") continue;
    if (leg.to.kind === "switch") {
      hops.push({ kind: "switch", switch: leg.to.switch, note: null });
      continue;
    }
    hops.push({
      kind: "guest",
      guest: leg.to.guest,
      in: leg.to.interface,
      out: next?.from.kind === "guest" ? next.from.interface : null,
      ns: next === undefined ? null : next.crossing.enteredNs - crossing.leftNs,
      ttl: next?.crossing.frame.ttl ?? crossing.frame.ttl ?? null,
      note: next === undefined ? (notes.last ?? null) : null,
    });
  }
  return hops;
}

function placeName(spot: Spot): string {
  if (spot.kind === "guest") return `${spot.guest}:${spot.interface}`;
  return spot.kind === "tap" ? spot.tap : spot.switch;
}

/** `asks for 10.0.1.1 (ARP) 3 times: no answer`; null where it asked for nothing in vain. */
export function vainQuestion(legs: readonly Leg[], guest: string, family: 4 | 6): string | null {
  const address = unanswered(legs, guest).find((one) => familyOf(one) === family);
  if (address === undefined) return null;
  const times = new Set(
    asksOf(legs, guest, address).map(({ crossing }) => Math.round(crossing.enteredNs / 1e8)),
  ).size;
  const often = times > 1 ? ` ${times} times` : "";
  return `asks for ${address} (${asking(family)})${often}: no answer`;
}

/** A guest that sent nothing: where its way begins and ends. */
export const lonely = (guest: string, note: string | null): Hop => ({
  kind: "guest",
  guest,
  in: null,
  out: null,
  ns: null,
  ttl: null,
  note,
});
