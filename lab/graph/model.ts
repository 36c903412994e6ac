/** What a drawing shows, taken from a plan: nodes, cables, and what is written at their ends. */

import { formatInterfaceAddress, networkOf, parseInterfaceAddress } from "../../base/addresses.ts";
import { formatDurationNs } from "../../base/units.ts";
import {
  endName,
  type Impairment,
  type LinkCounters,
  type LinkEnd,
  type LinkSpec,
} from "../../net/control/messages.ts";
import type { LabStatus } from "../api.ts";
import type { LabPlan } from "../plan/plan.ts";

export interface DrawnNode {
  readonly name: string;
  readonly kind: "guest" | "router" | "switch" | "hub" | "tap";
  /** Under the name: a single interface's addresses, a switch's subnets, an image. */
  readonly lines: readonly string[];
  /** Of a guest in a running lab that is not ready: `stopped`, `failed`. */
  readonly state: string | undefined;
}

export interface DrawnEnd {
  readonly node: string;
  /** `eth0`; undefined at a switch or a TAP. */
  readonly interface: string | undefined;
  readonly addresses: readonly string[];
  /** What is written at this end of the cable; empty where the node itself says it. */
  readonly labels: readonly string[];
}

export interface DrawnLink {
  readonly name: string;
  readonly ends: readonly [DrawnEnd, DrawnEnd];
  readonly up: boolean;
  /** What it does to frames, in words: `5 ms, loss 1%`. Empty for a plain cable. */
  readonly impairment: string;
  readonly vlan: number | undefined;
  readonly trunk: readonly number[] | undefined;
  /** In a running lab, what went over it: `1200 frames, 3 dropped`. */
  readonly traffic: string | undefined;
}

export interface Drawing {
  readonly title: string;
  readonly description: string | undefined;
  readonly nodes: readonly DrawnNode[];
  readonly links: readonly DrawnLink[];
}

/** Of a running lab, its cables and guests are drawn as they are now. */
export function drawingOf(plan: LabPlan, live?: LabStatus): Drawing {
  const addresses = new Map<string, readonly string[]>();
  const linked = new Map<string, number>();
  for (const { name, setup } of plan.guests) {
    for (const item of setup.interfaces) addresses.set(`${name}:${item.name}`, item.addresses);
  }
  for (const { ends } of plan.links) {
    for (const end of ends) {
      const node = nodeOf(end);
      linked.set(node, (linked.get(node) ?? 0) + 1);
    }
  }
  const single = new Set(
    plan.guests
      .filter(({ name, setup }) => setup.interfaces.length === 1 && (linked.get(name) ?? 0) < 2)
      .map(({ name }) => name),
  );
  const links = plan.links.map((link): DrawnLink => {
    const ends = link.ends.map((end): DrawnEnd => {
      const node = nodeOf(end);
      if (end.kind === "switch" || end.kind === "tap") {
        return { node, interface: undefined, addresses: [], labels: [] };
      }
      const nic = endName(end);
      const name = nic.slice(node.length + 1);
      const own = addresses.get(nic) ?? [];
      return {
        node,
        interface: name,
        addresses: own,
        labels: single.has(node) ? [] : [name, ...own],
      };
    }) as unknown as readonly [DrawnEnd, DrawnEnd];
    const port = link.ends.find((end) => end.kind === "switch");
    const now = live?.counters.links.find((each) => each.link === link.link);
    return {
      name: link.link,
      ends,
      up: now?.up ?? link.up,
      impairment: impairmentsInWords(now?.impairments ?? link.impairments, [
        ends[0].node,
        ends[1].node,
      ]),
      traffic: now === undefined ? undefined : trafficInWords(now),
      vlan: port?.kind === "switch" ? port.vlan : undefined,
      trunk: port?.kind === "switch" ? port.trunk : undefined,
    };
  });
  const guests = plan.guests.map(({ name, forward, image, setup }): DrawnNode => {
    const own = single.has(name) ? (setup.interfaces[0]?.addresses ?? []) : [];
    const plain = image === "base" || (image === "router" && forward);
    const shown = plain ? [] : [image.length > 24 ? `${image.slice(0, 23)}…` : image];
    const state = live?.guests.find((guest) => guest.name === name)?.state;
    return {
      name,
      kind: forward ? "router" : "guest",
      lines: [...shown, ...own],
      state: state === "ready" ? undefined : state,
    };
  });
  const switches = plan.switches.map(({ switch: name, hub }): DrawnNode => {
    const subnets = new Set<string>();
    for (const { ends } of links) {
      const other = ends[0].node === name ? ends[1] : ends[1].node === name ? ends[0] : undefined;
      for (const text of other?.addresses ?? []) {
        const address = parseInterfaceAddress(text);
        if (address !== undefined) subnets.add(formatInterfaceAddress(networkOf(address)));
      }
    }
    const lines = subnets.size <= 3 ? [...subnets] : [];
    return { name, kind: hub ? "hub" : "switch", lines, state: undefined };
  });
  return {
    title: plan.name,
    description: plan.description?.trim().split("\n")[0],
    nodes: [...guests, ...switches, ...plan.links.flatMap(tapNodes)],
    links,
  };
}

function nodeOf(end: LinkEnd): string {
  const name = endName(end);
  return end.kind === "switch" || end.kind === "tap" ? name : name.slice(0, name.lastIndexOf(":"));
}

const tapNodes = ({ ends }: LinkSpec): DrawnNode[] =>
  ends.flatMap((end) =>
    end.kind === "tap"
      ? [{ name: end.tap, kind: "tap" as const, lines: ["the host"], state: undefined }]
      : [],
  );

function trafficInWords({ directions }: LinkCounters): string {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const frames = sum(directions.map((each) => each.frames));
  const dropped = sum(directions.flatMap((each) => Object.values(each.drops)));
  return `${frames} frames${dropped === 0 ? "" : `, ${dropped} dropped`}`;
}

function impairmentsInWords(
  [forth, back]: readonly [Impairment, Impairment],
  [left, right]: readonly [string, string],
): string {
  const [a, b] = [inWords(forth), inWords(back)];
  if (a === b) return a;
  return [a === "" ? "" : `from ${left}: ${a}`, b === "" ? "" : `from ${right}: ${b}`]
    .filter((text) => text !== "")
    .join("; ");
}

/** `5 ms ± 1 ms, loss 1%, 10 Mbit/s`. */
export function inWords(impairment: Impairment): string {
  const percent = (fraction: number) => `${Number((fraction * 100).toPrecision(4))}%`;
  const { delayNs, jitterNs, rateBitsPerSec, queue } = impairment;
  const parts: string[] = [];
  if (delayNs !== undefined || jitterNs !== undefined) {
    const jitter = jitterNs === undefined ? "" : ` ± ${formatDurationNs(jitterNs)}`;
    parts.push(`${formatDurationNs(delayNs ?? 0)}${jitter}`);
  }
  for (const key of ["loss", "duplicate", "corrupt", "reorder"] as const) {
    const value = impairment[key];
    if (value !== undefined) parts.push(`${key} ${percent(value)}`);
  }
  if (rateBitsPerSec !== undefined) parts.push(formatRate(rateBitsPerSec));
  if (queue !== undefined) {
    parts.push("frames" in queue ? `queue ${queue.frames}` : `queue ${queue.bytes} B`);
  }
  return parts.join(", ");
}

function formatRate(bits: number): string {
  const units = ["bit", "kbit", "Mbit", "Gbit", "Tbit"];
  let value = bits;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(4))} ${units[unit]}/s`;
}
