/**
 * What differs between a lab that runs and a plan: the changes that bring the one to the other, and
 * no others. Pure. What runs is looked at as it is, not as an earlier file had it: a cable that was
 * pulled by hand is plugged in again, and a guest that failed is started.
 */

import { isDeepStrictEqual } from "node:util";
import { endName, type LinkSpec, type SwitchSpec } from "../../net/control/messages.ts";
import type { GuestState } from "../api.ts";
import type { Change } from "./change.ts";
import { type GuestChanges, guestChanges } from "./guest-difference.ts";
import { nicsOf } from "./nics.ts";
import type { GuestPlan, LabPlan } from "./plan.ts";

/** A lab as it is. */
export interface RunningState {
  /** What is judged of it. */
  readonly plan: LabPlan;
  readonly guests: readonly { readonly plan: GuestPlan; readonly state: GuestState }[];
  readonly switches: readonly SwitchSpec[];
  /** With their impairments, and up or down, as they are. Those of ways out are left out. */
  readonly links: readonly LinkSpec[];
  /** Guests whose way out is open. */
  readonly waysOut: readonly string[];
}

/** What goes, what changes, what comes, and at the end what is judged. */
export function differenceOf(now: RunningState, plan: LabPlan): Change[] {
  const parts = [
    ...guestsDifference(now, plan.guests),
    ...switchesDifference(now.switches, plan.switches),
    ...linksDifference(now, plan),
  ];
  parts.sort((a, b) => ORDER.indexOf(a.action) - ORDER.indexOf(b.action));
  return [...parts, ...judgingDifference(now.plan, plan)];
}

const ORDER: readonly Change["action"][] = [
  ...(["remove", "replace", "change", "add", "restart", "start", "resume"] as const),
];

function guestsDifference(
  { guests: now, waysOut }: RunningState,
  wanted: readonly GuestPlan[],
): Change[] {
  const before = new Map(now.map((guest) => [guest.plan.name, guest]));
  const names = new Set(wanted.map(({ name }) => name));
  const gone = now
    .filter(({ plan }) => !names.has(plan.name))
    .map(({ plan }): Change => change("guest", "remove", plan.name));
  const others = wanted.flatMap((guest): Change[] => {
    const known = before.get(guest.name);
    if (known === undefined) return [change("guest", "add", guest.name)];
    const changes = guestChanges(known.plan, guest);
    const missing = guest.outlet !== null && !waysOut.includes(guest.name);
    const wayOut = missing ? ["it is gone"] : changes.wayOut;
    return guestDifference(known.state, guest.name, { ...changes, wayOut });
  });
  return [...gone, ...others];
}

function guestDifference(
  state: GuestState,
  name: string,
  { restart, inPlace, wayOut }: GuestChanges,
): Change[] {
  const way = wayOut.length > 0 ? [change("way out", "replace", name, wayOut)] : [];
  if (restart.length > 0) return [change("guest", "restart", name, restart)];
  if (state === "stopped" || state === "failed") {
    const why = state === "failed" ? "it failed" : "it is stopped";
    return [...way, change("guest", "start", name, [why])];
  }
  return [
    ...way,
    ...(state === "paused" ? [change("guest", "resume", name, ["it is paused"])] : []),
    ...(inPlace.length > 0 ? [change("guest", "change", name, inPlace)] : []),
  ];
}

function switchesDifference(now: readonly SwitchSpec[], wanted: readonly SwitchSpec[]): Change[] {
  const before = new Map(now.map((one) => [one.switch, one]));
  const names = new Set(wanted.map((one) => one.switch));
  return [
    ...now
      .filter((one) => !names.has(one.switch))
      .map((one) => change("switch", "remove", one.switch)),
    ...wanted.flatMap((one): Change[] => {
      const known = before.get(one.switch);
      if (known === undefined) return [change("switch", "add", one.switch)];
      const why = [
        ...(known.hub === one.hub ? [] : [one.hub ? "it is a hub now" : "it is no hub now"]),
        ...(known.ageingMs === one.ageingMs ? [] : [`ageing is ${one.ageingMs / 1000} s`]),
      ];
      return why.length === 0 ? [] : [change("switch", "replace", one.switch, why)];
    }),
  ];
}

/** Cables at a switch or a NIC that is replaced are plugged in anew. */
function linksDifference(now: RunningState, plan: LabPlan): Change[] {
  const before = new Map(now.links.map((link) => [link.link, link]));
  const names = new Set(plan.links.map(({ link }) => link));
  const replaced = replacedEnds(now, plan);
  return [
    ...now.links
      .filter(({ link }) => !names.has(link))
      .map(({ link }) => change("link", "remove", link)),
    ...plan.links.flatMap((link): Change[] => {
      const known = before.get(link.link);
      if (known === undefined) return [change("link", "add", link.link)];
      const why = [
        ...endsDifference(known, link),
        ...(known.seed === link.seed ? [] : ["the seed is another"]),
        ...link.ends.map(endName).flatMap((end) => replaced.get(end) ?? []),
      ];
      const settings = [
        ...(isDeepStrictEqual(known.impairments, link.impairments) ? [] : ["impairments"]),
        ...(known.up === link.up ? [] : [link.up ? "up" : "down"]),
      ];
      if (why.length > 0) return [change("link", "replace", link.link, [...why, ...settings])];
      return settings.length === 0 ? [] : [change("link", "change", link.link, settings)];
    }),
  ];
}

function endsDifference({ ends: before }: LinkSpec, { ends }: LinkSpec): string[] {
  return ends.flatMap((end, index) => {
    const was = before[index as 0 | 1];
    if (isDeepStrictEqual(was, end)) return [];
    if (endName(was) !== endName(end))
      return [`it leads to ${endName(end)}, not to ${endName(was)}`];
    return [`the VLANs at ${endName(end)} are others`];
  });
}

/** By the name of a switch or a NIC that is there before and after and is another one: why. */
function replacedEnds(now: RunningState, plan: LabPlan): Map<string, string> {
  const ends = new Map<string, string>();
  for (const { action, name } of switchesDifference(now.switches, plan.switches)) {
    if (action === "replace") ends.set(name, `${name} is replaced`);
  }
  const before = new Map(
    now.guests.flatMap(({ plan }) => nicsOf(plan)).map((nic) => [nic.nic, nic]),
  );
  for (const nic of plan.guests.flatMap(nicsOf)) {
    const known = before.get(nic.nic);
    if (known !== undefined && !isDeepStrictEqual(known, nic)) {
      ends.set(nic.nic, `${nic.nic} is replaced`);
    }
  }
  return ends;
}

function judgingDifference(before: LabPlan, after: LabPlan): Change[] {
  const expect = [
    ...(samePairs(before, after) ? [] : ["who reaches whom"]),
    ...(isDeepStrictEqual(before.checks, after.checks) ? [] : ["checks"]),
    ...(isDeepStrictEqual(before.claims, after.claims) ? [] : ["other claims"]),
    ...(before.settleMs === after.settleMs ? [] : [`settle is ${after.settleMs / 1000} s`]),
  ];
  return [
    ...(expect.length === 0 ? [] : [change("judging", "replace", "expect", expect)]),
    ...(isDeepStrictEqual(before.events, after.events)
      ? []
      : [change("judging", "replace", "events")]),
  ];
}

/** Of guests that are there before and after. */
function samePairs(before: LabPlan, after: LabPlan): boolean {
  const of = ({ pairs }: LabPlan, other: LabPlan) => {
    const known = new Set(other.guests.map(({ name }) => name));
    return pairs.flatMap(({ from, to, expected }) =>
      known.has(from) && known.has(to) ? [`${from} ${to} ${expected}`] : [],
    );
  };
  return isDeepStrictEqual(new Set(of(before, after)), new Set(of(after, before)));
}

function change(
  kind: Change["kind"],
  action: Change["action"],
  name: string,
  why: readonly string[] = [],
): Change {
  return { kind, action, name, why };
}
