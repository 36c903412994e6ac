/**
 * What became of the probes: the one that got furthest, its way there, its answer's way back, the
 * ICMP errors about it, and the questions (ARP, neighbour discovery) that were asked meanwhile.
 */

import type { Lookup } from "./guest-view.ts";
import { furthestWay, guestOf, type Kind, type Leg } from "./way.ts";

/** What the prober in the guest said of one probe (kernel/agent/probe.c). */
export interface Outcome {
  readonly probe: number;
  readonly word: "answer" | "silent" | "refused" | "error" | "unsent";
  /** answer: nanoseconds; the others: the kernel's error number. */
  readonly value: number;
}

export interface ErrorBack {
  /** The guest that sent it. */
  readonly by: string;
  readonly way: readonly Leg[];
}

export interface Journey {
  readonly probe: number;
  readonly outcome: Outcome | undefined;
  readonly there: readonly Leg[];
  readonly back: readonly Leg[];
  readonly errors: readonly ErrorBack[];
}

export function parseOutcomes(text: string): Outcome[] {
  return text.split("\n").flatMap((line) => {
    const match = /^(\d+) (answer|silent|refused|error|unsent) (\d+)$/.exec(line);
    if (match === null) return [];
    const [, probe, word, value] = match;
    return [{ probe: Number(probe), word: word as Outcome["word"], value: Number(value) }];
  });
}

/** Of all probes, the one that tells most. */
export function chooseJourney(
  legs: readonly Leg[],
  outcomes: readonly Outcome[],
  from: string,
): Journey {
  const probes = new Set([
    ...outcomes.map(({ probe }) => probe),
    ...legs.map(({ crossing }) => crossing.frame.probe).filter((probe) => probe > 0),
  ]);
  const journeys = [...probes].map((probe): Journey => {
    const errors = guestsThatSent(legs, "error", probe).flatMap((by) => {
      const way = furthestWay(legs, "error", probe, by);
      // a router on its way passes it on; and a redirect is advice, not a refusal
      const first = way[0];
      if (first === undefined || isRedirect(first) || arrivedBefore(legs, first, by)) return [];
      return [{ by, way }];
    });
    const answers = guestsThatSent(legs, "answer", probe)
      .map((guest) => furthestWay(legs, "answer", probe, guest))
      .sort((a, b) => b.length - a.length);
    return {
      probe,
      outcome: outcomes.find((one) => one.probe === probe),
      there: furthestWay(legs, "request", probe, from),
      back: answers[0] ?? [],
      errors,
    };
  });
  const worth = ({ there, back, errors, outcome }: Journey) =>
    (outcome?.word === "answer" ? 1000 : 0) +
    back.length * 100 +
    errors.length * 5 +
    accepted(there) * 10 +
    there.length;
  journeys.sort((a, b) => worth(b) - worth(a));
  return journeys[0] ?? { probe: 0, outcome: undefined, there: [], back: [], errors: [] };
}

const accepted = (way: readonly Leg[]): number => way.filter((leg) => leg.accepted).length;

function guestsThatSent(legs: readonly Leg[], kind: Kind, probe: number): string[] {
  const guests = legs.flatMap(({ crossing: { frame }, from }) =>
    frame.kind === kind && frame.probe === probe ? (guestOf(from) ?? []) : [],
  );
  return [...new Set(guests)];
}

const isRedirect = ({ crossing: { frame } }: Leg): boolean =>
  frame.icmp?.type === 5 && !frame.from.includes(":");

/** Whether the same message had come to that guest before it sent it. */
function arrivedBefore(legs: readonly Leg[], first: Leg, guest: string): boolean {
  return legs.some(
    ({ crossing, to }) =>
      crossing.frame.kind === "error" &&
      crossing.frame.probe === first.crossing.frame.probe &&
      guestOf(to) === guest &&
      crossing.leftNs !== null &&
      crossing.leftNs <= first.crossing.enteredNs,
  );
}

/** The leg by which a way comes to a guest, the last one. */
export const legTo = (way: readonly Leg[], guest: string): Leg | undefined =>
  way.findLast((leg) => guestOf(leg.to) === guest && leg.crossing.leftNs !== null);

/** Questions for an address that a guest itself asked. */
export function asksOf(legs: readonly Leg[], guest: string, address?: string): Leg[] {
  return legs.filter(
    ({ crossing: { frame }, from }) =>
      frame.kind === "ask" &&
      guestOf(from) === guest &&
      (address === undefined || frame.to === address),
  );
}

/** Answers that tell who has an address. */
export const tellsOf = (legs: readonly Leg[], address: string): Leg[] =>
  legs.filter(({ crossing: { frame } }) => frame.kind === "tell" && frame.to === address);

/** Addresses that a guest asked for and was told of by nobody. */
export function unanswered(legs: readonly Leg[], guest: string): string[] {
  const asked = new Set(asksOf(legs, guest).map(({ crossing: { frame } }) => frame.to));
  return [...asked].filter(
    (address) => !tellsOf(legs, address).some((leg) => leg.accepted && guestOf(leg.to) === guest),
  );
}

/** Which guests know more, and what to look up in their routing tables. */
export function whomToAsk(journey: Journey, from: string, address: string): Map<string, Lookup[]> {
  const questions = new Map<string, Lookup[]>();
  const ask = (guest: string | undefined, ...lookups: readonly Lookup[]) => {
    if (guest === undefined) return;
    const known = questions.get(guest) ?? [];
    const fresh = lookups.filter(
      (one) => !known.some((other) => JSON.stringify(other) === JSON.stringify(one)),
    );
    questions.set(guest, [...known, ...fresh]);
  };
  const askAt = (leg: Leg | undefined) => {
    if (leg?.to.kind !== "guest") return;
    const { from: source, to } = leg.crossing.frame;
    ask(
      leg.to.guest,
      { to, from: source, in: leg.to.interface },
      { to: source, from: to, in: leg.to.interface },
      { to: source },
      { to },
    );
  };
  ask(from, { to: address });
  const ends = [journey.there.at(-1), journey.back.at(-1)];
  for (const leg of ends) {
    askAt(leg);
    ask(leg && guestOf(leg.from), { to: leg?.crossing.frame.to ?? address });
  }
  for (const { by } of journey.errors) askAt(legTo(journey.there, by) ?? legTo(journey.back, by));
  return questions;
}
