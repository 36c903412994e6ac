/**
 * Which interfaces hear each other: broadcast domains through cables and switches, VLAN by VLAN.
 *
 * A domain is a set of *places*: an interface (`alice:eth0`), or a VLAN of a switch (`lan/1`). A
 * cable joins the places of its two ends; a port without `vlan` and `trunk` is untagged in VLAN 1. A
 * switch none of whose ports has either, and a hub, lets every tag through (`transparent`).
 */

import type { TopologyEnd, TopologyLink } from "./topology.ts";

type Tag = number | "untagged";

/** What a port lets through: by the tag on the cable, the place behind it. */
interface Port {
  readonly placeOf: (tag: Tag) => string | undefined;
  /** The tags it uses on the cable; undefined: any. */
  readonly tags: readonly Tag[] | undefined;
}

function portOf(end: TopologyEnd, transparent: ReadonlySet<string>): Port {
  if (end.kind === "guest") {
    const place = `${end.guest}:${end.interface}`;
    return { placeOf: (tag) => (tag === "untagged" ? place : undefined), tags: ["untagged"] };
  }
  const { switch: name, vlan, trunk } = end;
  if (transparent.has(name)) {
    return { placeOf: (tag) => `${name}/${tag === "untagged" ? 1 : tag}`, tags: undefined };
  }
  const native = vlan ?? (trunk === undefined ? 1 : undefined);
  const tags: Tag[] = [
    ...(native === undefined ? [] : ["untagged" as const]),
    ...(trunk ?? []).filter((tag) => tag !== native),
  ];
  return {
    placeOf: (tag) => {
      if (tag === "untagged") return native === undefined ? undefined : `${name}/${native}`;
      return tags.includes(tag) ? `${name}/${tag}` : undefined;
    },
    tags,
  };
}

/** Hubs, and switches none of whose ports says anything of VLANs: tags cross them as they are. */
export function transparentSwitches(
  links: readonly TopologyLink[],
  switches: readonly { readonly name: string; readonly hub: boolean }[],
): Set<string> {
  const aware = new Set(
    links.flatMap(({ ends }) =>
      ends.flatMap((end) =>
        end.kind === "switch" && (end.vlan !== undefined || end.trunk !== undefined)
          ? [end.switch]
          : [],
      ),
    ),
  );
  return new Set(
    switches.filter(({ name, hub }) => hub || !aware.has(name)).map(({ name }) => name),
  );
}

/** The pairs of places that a link joins. */
export function joinsOf(link: TopologyLink, transparent: ReadonlySet<string>): [string, string][] {
  const [a, b] = link.ends.map((end) => portOf(end, transparent)) as [Port, Port];
  const joins: [string, string][] = [];
  for (const tag of a.tags ?? b.tags ?? ["untagged" as const]) {
    const left = a.placeOf(tag);
    const right = b.placeOf(tag);
    if (left !== undefined && right !== undefined) joins.push([left, right]);
  }
  return joins;
}

/** Sets of places that grow together. */
export class Unions {
  readonly #parent = new Map<string, string>();

  root(place: string): string {
    let at = place;
    for (let up = this.#parent.get(at); up !== undefined; up = this.#parent.get(at)) at = up;
    if (at !== place) this.#parent.set(place, at);
    return at;
  }

  /** False where the two were together already. */
  join(a: string, b: string): boolean {
    const left = this.root(a);
    const right = this.root(b);
    if (left === right) return false;
    this.#parent.set(right, left);
    return true;
  }
}

/**
 * @returns a function from an interface (`alice:eth0`) to the name of its broadcast domain.
 * Cables that start pulled join nothing unless `pulled` says so.
 */
export function segmentsOf(
  links: readonly TopologyLink[],
  transparent: ReadonlySet<string>,
  { pulled = false } = {},
): (place: string) => string {
  const unions = new Unions();
  for (const link of links) {
    if (!link.up && !pulled) continue;
    for (const [a, b] of joinsOf(link, transparent)) unions.join(a, b);
  }
  return (place) => unions.root(place);
}

/**
 * Loops of switches, each with the link that closes it and the switches on the way round
 * (`sw1 -- sw2 -- sw3 -- sw1`). Cables that start pulled close none.
 */
export function switchLoops<L extends TopologyLink>(
  links: readonly L[],
  transparent: ReadonlySet<string>,
): { readonly link: L; readonly loop: readonly string[] }[] {
  const unions = new Unions();
  const neighbours = new Map<string, string[]>();
  const loops: { link: L; loop: string[] }[] = [];
  for (const link of links) {
    const [a, b] = link.ends;
    if (a.kind !== "switch" || b.kind !== "switch" || !link.up) continue;
    // A switch on itself is told where the link is read.
    if (a.switch === b.switch) continue;
    let closed: string[] | undefined;
    for (const [left, right] of joinsOf(link, transparent)) {
      if (!unions.join(left, right)) {
        closed ??= way(neighbours, left, right).map((place) =>
          place.slice(0, place.lastIndexOf("/")),
        );
        continue;
      }
      for (const [from, to] of [
        [left, right],
        [right, left],
      ] as const) {
        neighbours.set(from, [...(neighbours.get(from) ?? []), to]);
      }
    }
    if (closed !== undefined) {
      const first = closed[0] as string;
      loops.push({ link, loop: [...closed, first] });
    }
  }
  return loops;
}

/** The shortest way between two places. */
function way(
  neighbours: ReadonlyMap<string, readonly string[]>,
  from: string,
  to: string,
): string[] {
  const before = new Map<string, string | undefined>([[from, undefined]]);
  const queue = [from];
  for (const place of queue) {
    if (place === to) break;
    for (const next of neighbours.get(place) ?? []) {
      if (before.has(next)) continue;
      before.set(next, place);
      queue.push(next);
    }
  }
  const back: string[] = [];
  for (let at: string | undefined = to; at !== undefined; at = before.get(at)) back.push(at);
  return back.reverse();
}
