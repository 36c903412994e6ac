/**
 * Links in every form: ranges expanded, ends looked up, interfaces numbered, impairments read.
 */

import { type InterfaceAddress, parseInterfaceAddress } from "../../base/addresses.ts";
import {
  parseBitsPerSecond,
  parseBytes,
  parseDurationNs,
  parseFraction,
} from "../../base/units.ts";
import type { Impairment } from "../../net/control/messages.ts";
import { type GuestDraft, interfaceOf } from "./guests.ts";
import { splitEnd } from "./kinds.ts";
import { type Names, nameSpan } from "./names.ts";
import { expand, parseRange } from "./ranges.ts";
import { asList, asMap, asScalar, type Reading } from "./reading.ts";
import type { Span } from "./source.ts";
import type { TopologyEnd, TopologyLink } from "./topology.ts";
import { type MapNode, type Node, spanIn } from "./tree.ts";

/** Subnets that a link between two guests gives to ends without an address. */
export interface LinkDraft extends TopologyLink {
  /** Where each end is written. */
  readonly places: readonly [Span, Span];
  readonly subnets: readonly { readonly subnet: InterfaceAddress; readonly at: Span }[];
}

const MOST_LINKS = 20_000;

/** One cable whose ends are looked up but not numbered yet. */
interface RawLink {
  readonly ends: readonly [RawEnd, RawEnd];
  readonly name: { readonly text: string; readonly at: Span } | undefined;
  readonly options: MapNode | undefined;
  readonly place: Span;
}

interface RawEnd {
  readonly kind: "guest" | "switch";
  readonly name: string;
  readonly interface: string | undefined;
  readonly address: InterfaceAddress | undefined;
  readonly at: Span;
  readonly addressAt: Span;
}

export function readLinks(
  reading: Reading,
  top: MapNode,
  names: Names,
  guests: ReadonlyMap<string, GuestDraft>,
  hubs: ReadonlySet<string>,
): LinkDraft[] {
  const node = asList(top.entries.get("links")?.value);
  if (top.entries.has("links") && node === undefined) {
    // Links that could not be read at all may have given any guest anything.
    const value = top.entries.get("links")?.value;
    if (value !== undefined && reading.isBad(value)) {
      for (const name of guests.keys()) reading.incomplete.add(name);
    }
  }
  const raw: RawLink[] = [];
  for (const item of node?.items ?? []) {
    const links = readLink(reading, item, names);
    if (links === undefined) markIncomplete(reading, item, names);
    else raw.push(...links);
    if (raw.length > MOST_LINKS) break;
  }
  linkNamedInterfaces(reading, raw, guests);
  const taken = new Set<string>();
  return raw.flatMap((link) => {
    const ends = link.ends.map((end) => finishEnd(reading, end, link.options, guests, hubs));
    return [finishLink(reading, link, ends as [TopologyEnd, TopologyEnd], guests, taken)];
  });
}

/** The cables of one entry of `links`; undefined where it is not understood. */
function readLink(reading: Reading, item: Node, names: Names): RawLink[] | undefined {
  if (reading.isBad(item)) return undefined;
  const options = asMap(item);
  const ends = options === undefined ? asList(item) : asList(reading.get(options, "ends"));
  if (ends === undefined) return undefined;
  const [first, second] = ends.items;
  if (first === undefined || second === undefined) return undefined;
  // Both sides are looked up before giving up: each may be wrong for itself.
  const lefts = readEnds(reading, first, names);
  const rights = readEnds(reading, second, names);
  if (lefts === undefined || rights === undefined) return undefined;
  const count = Math.max(lefts.length, rights.length);
  if (lefts.length !== rights.length && lefts.length !== 1 && rights.length !== 1) {
    reading.problems.add(
      "BAD_VALUE",
      ends,
      `${lefts.length} ends cannot be paired with ${rights.length}`,
      "two ranges of one link have the same length, or one of the two ends is a single name",
    );
    return undefined;
  }
  const linkNames = namesOfLink(reading, options, count);
  return Array.from({ length: count }, (_, i) => ({
    ends: [lefts[i] ?? lefts[0], rights[i] ?? rights[0]] as [RawEnd, RawEnd],
    name: linkNames?.[i],
    options,
    place: item,
  }));
}

function readEnds(reading: Reading, node: Node, names: Names): RawEnd[] | undefined {
  const scalar = asScalar(node);
  if (scalar === undefined || reading.isBad(node)) return undefined;
  const text = splitEnd(scalar.text);
  const declared = names.lookUp(text.name, nameSpan(scalar, 0, text.name), ["guest", "switch"]);
  if (declared.length !== expand(text.name).length) return undefined;
  const at = nameSpan(scalar, 0, scalar.text);
  const wrongSwitch = declared.find(
    ({ kind }) => kind === "switch" && text.interface !== undefined,
  );
  if (wrongSwitch !== undefined) {
    reading.problems.add(
      "BAD_VALUE",
      spanIn(scalar, text.interfaceIndex, scalar.text.length - text.interfaceIndex),
      `\`${wrongSwitch.name}\` is a switch: its ports have no names and no addresses`,
      `write \`${text.name}\` alone`,
    );
    return undefined;
  }
  return declared.map(({ kind, name }) => ({
    kind,
    name,
    interface: text.interface,
    address: text.address === undefined ? undefined : parseInterfaceAddress(text.address),
    at,
    addressAt:
      text.address === undefined ? at : spanIn(scalar, text.addressIndex, text.address.length),
  }));
}

function namesOfLink(reading: Reading, options: MapNode | undefined, count: number) {
  const node = reading.scalar(options, "name");
  if (node === undefined) return undefined;
  const texts = expand(node.text);
  if (texts.length === count) return texts.map((text) => ({ text, at: node }));
  reading.problems.add(
    "DUPLICATE_NAME",
    node,
    `one name for ${count} links`,
    parseRange(node.text) === undefined
      ? `name them with a range: \`${node.text}-1..${count}\``
      : `the range has ${texts.length} names: make it ${count}`,
  );
  return undefined;
}

/** Guests that a link which is not understood may speak of: their interfaces are not known. */
function markIncomplete(reading: Reading, node: Node, names: Names): void {
  if (node.kind === "list") for (const item of node.items) markIncomplete(reading, item, names);
  else if (node.kind === "map") {
    for (const { value } of node.entries.values()) markIncomplete(reading, value, names);
  } else {
    for (const name of expand(splitEnd(node.text).name, 1000)) {
      reading.incomplete.add(name);
      const near = names.closest(name, ["guest"]);
      if (near !== undefined) reading.incomplete.add(near);
    }
  }
}

/** First the interfaces that links name, so that automatic numbers go round them. */
function linkNamedInterfaces(
  reading: Reading,
  links: readonly RawLink[],
  guests: ReadonlyMap<string, GuestDraft>,
): void {
  for (const { ends } of links) {
    for (const end of ends) {
      const guest = guests.get(end.name);
      if (end.kind !== "guest" || end.interface === undefined || guest === undefined) continue;
      const draft = interfaceOf(guest, end.interface);
      if (draft.linkedAt === undefined) {
        draft.linkedAt = end.at;
        continue;
      }
      reading.problems.add(
        "DUPLICATE_NAME",
        end.at,
        `\`${end.name}:${end.interface}\` is linked twice: first in line ${reading.source.position(draft.linkedAt.start).line}`,
        `an interface has one cable: take another one, or join several at a switch`,
      );
      reading.incomplete.add(end.name);
    }
  }
}

function finishEnd(
  reading: Reading,
  end: RawEnd,
  options: MapNode | undefined,
  guests: ReadonlyMap<string, GuestDraft>,
  hubs: ReadonlySet<string>,
): TopologyEnd {
  if (end.kind === "switch") {
    const vlan = reading.number(options, "vlan");
    const trunk = reading.items(reading.get(options, "trunk")).flatMap((item) => {
      const value = asScalar(item)?.value;
      return typeof value === "number" ? [value] : [];
    });
    const marked = options?.entries.get("vlan") ?? options?.entries.get("trunk");
    if (marked !== undefined && hubs.has(end.name)) {
      reading.problems.add(
        "BAD_VALUE",
        marked.key,
        `\`${end.name}\` is a hub, and a hub knows no VLANs`,
        "make it a switch: remove `hub: true`",
      );
    }
    return {
      kind: "switch",
      switch: end.name,
      vlan,
      trunk: trunk.length === 0 ? undefined : [...new Set(trunk)].sort((a, b) => a - b),
    };
  }
  const guest = guests.get(end.name) as GuestDraft;
  let name = end.interface;
  if (name === undefined) {
    let index = 0;
    while (guest.interfaces.get(`eth${index}`)?.linkedAt !== undefined) index++;
    name = `eth${index}`;
    interfaceOf(guest, name).linkedAt = end.at;
  }
  const draft = interfaceOf(guest, name);
  if (end.address !== undefined) draft.addresses.push({ value: end.address, at: end.addressAt });
  draft.linkMtu = reading.number(options, "mtu");
  if (draft.mtu === undefined) draft.mtuAt = reading.scalar(options, "mtu");
  return { kind: "guest", guest: end.name, interface: name };
}

function finishLink(
  reading: Reading,
  link: RawLink,
  ends: readonly [TopologyEnd, TopologyEnd],
  guests: ReadonlyMap<string, GuestDraft>,
  taken: Set<string>,
): LinkDraft {
  const [left, right] = link.ends;
  const { options } = link;
  if (
    left.name === right.name &&
    (left.kind === "switch" || left.interface === undefined || right.interface === undefined)
  ) {
    reading.problems.add(
      left.kind === "switch" ? "SWITCH_LOOP" : "BAD_VALUE",
      right.at,
      `\`${left.name}\` is linked to itself`,
      "name another end",
    );
    if (guests.has(left.name)) reading.incomplete.add(left.name);
  }
  const bothGuests = left.kind === "guest" && right.kind === "guest";
  for (const key of ["vlan", "trunk"]) {
    const entry = options?.entries.get(key);
    if (bothGuests && entry !== undefined) {
      reading.problems.add(
        "BAD_VALUE",
        entry.key,
        `\`${key}\` belongs to a switch's port, and this link has no switch`,
        "link the guests to a switch, or remove it",
      );
    }
  }
  const subnets = (["subnet", "subnet6"] as const).flatMap((key) => {
    const node = reading.scalar(options, key);
    const subnet = parseInterfaceAddress(node?.text ?? "");
    const entry = options?.entries.get(key);
    if (entry !== undefined && !bothGuests) {
      reading.problems.add(
        "BAD_VALUE",
        entry.key,
        `\`${key}\` is for a link between two guests`,
        "write it at the switch: `switches: { lan: { subnet: 10.0.1.0/24 } }`",
      );
      return [];
    }
    return node === undefined || subnet === undefined ? [] : [{ subnet, at: node }];
  });
  for (const key of ["subnet", "subnet6", "ends"]) {
    const value = options?.entries.get(key)?.value;
    if (value !== undefined && reading.isBad(value)) {
      for (const end of [left, right]) reading.incomplete.add(end.name);
    }
  }
  const name = uniqueName(reading, link, ends, taken);
  return {
    name,
    ends,
    places: [left.at, right.at],
    subnets,
    up: reading.boolean(options, "up") ?? true,
    impairments: readBothWays(reading, options, [left.name, right.name]),
  };
}

const endName = (end: TopologyEnd): string =>
  end.kind === "switch" ? end.switch : `${end.guest}:${end.interface}`;

function uniqueName(
  reading: Reading,
  link: RawLink,
  ends: readonly [TopologyEnd, TopologyEnd],
  taken: Set<string>,
): string {
  if (link.name !== undefined) {
    if (taken.has(link.name.text)) {
      reading.problems.add(
        "DUPLICATE_NAME",
        link.name.at,
        `two links are called \`${link.name.text}\``,
        "give each its own name, or leave the name away",
      );
    }
    taken.add(link.name.text);
    return link.name.text;
  }
  const base = `${endName(ends[0])}--${endName(ends[1])}`;
  let name = base;
  for (let n = 2; taken.has(name); n++) name = `${base}-${n}`;
  taken.add(name);
  return name;
}

/** The link's impairments for each way; `from` overrides, key by key. */
function readBothWays(
  reading: Reading,
  options: MapNode | undefined,
  names: readonly [string, string],
): [Impairment, Impairment] {
  const both = readImpairment(reading, options);
  const ways: [Impairment, Impairment] = [both, both];
  const entries = reading.entries(reading.get(options, "from"));
  for (const { key, value } of entries) {
    const over = readImpairment(reading, asMap(value));
    const of = expand(key.text);
    names.forEach((name, way) => {
      if (of.includes(name)) ways[way] = { ...ways[way], ...over };
    });
  }
  return ways;
}

/** Complains of `from` entries that name no end of their link. Once an entry, not once a cable. */
export function checkFrom(reading: Reading, top: MapNode): void {
  for (const item of asList(top.entries.get("links")?.value)?.items ?? []) {
    const options = asMap(item);
    if (options === undefined || reading.isBad(item)) continue;
    const ends = asList(reading.get(options, "ends"))?.items ?? [];
    if (ends.length !== 2 || ends.some((end) => reading.isBad(end))) continue;
    const ofEnds = ends.map((end) => splitEnd(asScalar(end)?.text ?? "").name);
    const known = ofEnds.flatMap((name) => expand(name, 1000));
    for (const { key } of reading.entries(reading.get(options, "from"))) {
      if (expand(key.text, 1000).some((name) => known.includes(name))) continue;
      reading.problems.add(
        "UNKNOWN_NAME",
        key,
        `\`${key.text}\` is no end of this link`,
        `its ends are ${ofEnds.map((name) => `\`${name}\``).join(" and ")}; name a guest or switch without its interface`,
      );
    }
  }
}

export function readImpairment(reading: Reading, map: MapNode | undefined): Impairment {
  const text = (key: string) => reading.text(map, key) ?? "";
  const queue = reading.scalar(map, "queue");
  const queueBytes = typeof queue?.value === "string" ? parseBytes(queue.text) : undefined;
  const all: { [K in keyof Impairment]: Impairment[K] | undefined } = {
    delayNs: parseDurationNs(text("delay")),
    jitterNs: parseDurationNs(text("jitter")),
    loss: parseFraction(text("loss")),
    duplicate: parseFraction(text("duplicate")),
    corrupt: parseFraction(text("corrupt")),
    reorder: parseFraction(text("reorder")),
    rateBitsPerSec: parseBitsPerSecond(text("rate")),
    queue:
      typeof queue?.value === "number"
        ? { frames: queue.value }
        : queueBytes === undefined
          ? undefined
          : { bytes: queueBytes },
  };
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined),
  ) as Impairment;
}
