/** `events`: the timed scenario, names looked up. Each event does one thing. */

import { parseBitsPerSecond, parseDurationNs, parseFraction } from "../../base/units.ts";
import { boundOf } from "./claims.ts";
import { readExpectations } from "./expectations.ts";
import { checkLink } from "./link-names.ts";
import { readImpairment } from "./links.ts";
import type { Names } from "./names.ts";
import { asList, asMap, type Reading } from "./reading.ts";
import type { TopologyAction, TopologyEvent, TopologyFlow } from "./topology.ts";
import type { MapNode, ScalarNode } from "./tree.ts";

const OPERATIONS = ["stop", "start", "restart", "pause", "resume"] as const;
const FLOWS = ["ping", "tcp", "udp", "iperf3"] as const;

/** What an event does: exactly one of these. */
const ACTIONS = ["link", "run", ...OPERATIONS, ...FLOWS, "expect"] as const;

type Action = (typeof ACTIONS)[number];

/** What is known of guests when events are read. */
type Drafts = ReadonlyMap<string, { readonly image: string }>;

const FORMS =
  "an event is one of `link` with `set` or `up`, `on` with `run`, " +
  `${[...OPERATIONS, ...FLOWS].map((name) => `\`${name}\``).join(", ")}, \`expect\``;

export function readEvents(
  reading: Reading,
  top: MapNode,
  names: Names,
  drafts: Drafts,
  links: readonly { readonly name: string }[],
): TopologyEvent[] {
  const list = asList(top.entries.get("events")?.value);
  const events = (list?.items ?? []).flatMap((item): TopologyEvent[] => {
    const map = asMap(item);
    if (map === undefined || reading.isBad(item)) return [];
    const action = checkAction(reading, map);
    const atMs = msOf(reading.text(map, "at"));
    if (action === undefined || atMs === undefined) return [];
    const actions = readAction(reading, map, action, names, drafts, links);
    const withinMs = msOf(reading.text(map, "within"));
    return actions.map((one) => ({
      ...one,
      atMs,
      withinMs,
      points: reading.number(map, "points"),
    }));
  });
  // Those of the same time stay in the order of the file.
  return events.sort((a, b) => a.atMs - b.atMs);
}

function msOf(text: string | undefined): number | undefined {
  const ns = parseDurationNs(text ?? "");
  return ns === undefined ? undefined : ns / 1e6;
}

function readAction(
  reading: Reading,
  map: MapNode,
  action: Action,
  names: Names,
  drafts: Drafts,
  links: readonly { readonly name: string }[],
): TopologyAction[] {
  const guests = (key: string) => {
    const node = reading.scalar(map, key);
    return node === undefined ? [] : names.guestsOf(node.text, node);
  };
  switch (action) {
    case "link": {
      const node = reading.scalar(map, "link");
      if (node === undefined || !checkLink(reading, node, links)) return [];
      const set = reading.map(map, "set");
      const up = reading.boolean(map, "up");
      const change = {
        ...(set === undefined ? {} : { set: readImpairment(reading, set) }),
        ...(up === undefined ? {} : { up }),
      };
      return [{ kind: "link", link: node.text, change, text: set === undefined ? "" : said(set) }];
    }
    case "run": {
      const command = reading.text(map, "run") ?? "";
      return guests("on").map((on) => ({ kind: "run", on, command }));
    }
    case "expect": {
      const expect = reading.map(map, "expect");
      if (expect === undefined) return [];
      return [{ kind: "expect", expectations: readExpectations(reading, expect, names, links) }];
    }
    case "ping":
    case "tcp":
    case "udp":
    case "iperf3":
      return readFlows(reading, map, action, names, drafts);
    default: {
      const found = guests(action);
      return found.length === 0 ? [] : [{ kind: "guests", operation: action, guests: found }];
    }
  }
}

/** `loss: 20%, delay: 5ms` */
const said = (set: MapNode): string =>
  [...set.entries.values()]
    .flatMap(({ key, value }) => (value.kind === "scalar" ? [`${key.text} ${value.text}`] : []))
    .join(", ");

const DEFAULT_FOR_MS = 10_000;
const DEFAULT_INTERVAL_MS = 10;
const SHORTEST_INTERVAL_MS = 1;
const DEFAULT_UDP_RATE = 1e6;

function readFlows(
  reading: Reading,
  map: MapNode,
  action: (typeof FLOWS)[number],
  names: Names,
  drafts: Drafts,
): TopologyAction[] {
  const flow = reading.map(map, action);
  const side = (key: string) => {
    const node = reading.scalar(flow, key);
    if (node === undefined) return [];
    const guests = names.guestsOf(node.text, node);
    if (action === "iperf3") checkImage(reading, node, guests, drafts);
    return guests;
  };
  if (action === "iperf3") checkWholeSeconds(reading, reading.scalar(flow, "for"));
  const interval = reading.get(flow, "interval");
  const intervalMs = msOf(reading.text(flow, "interval"));
  if (interval !== undefined && intervalMs !== undefined && intervalMs < SHORTEST_INTERVAL_MS) {
    reading.problems.add(
      "BAD_VALUE",
      interval,
      "this interval is too short",
      "write `1ms` or more",
    );
  }
  const rate = parseBitsPerSecond(reading.text(flow, "rate") ?? "");
  const loss = boundOf(reading.text(flow, "loss"), parseFraction);
  const dark = boundOf(reading.text(flow, "dark"), parseDurationNs);
  const throughput = boundOf(reading.text(flow, "throughput"), parseBitsPerSecond);
  const kind = action === "iperf3" ? (reading.boolean(flow, "udp") ? "udp" : "tcp") : action;
  const common: Omit<TopologyFlow, "from" | "to"> = {
    protocol: kind,
    iperf3: action === "iperf3",
    forMs: msOf(reading.text(flow, "for")) ?? DEFAULT_FOR_MS,
    intervalMs: intervalMs ?? DEFAULT_INTERVAL_MS,
    rateBitsPerSec: rate ?? (kind === "udp" ? DEFAULT_UDP_RATE : 0),
    bounds: {
      ...(loss === undefined ? {} : { loss }),
      ...(dark === undefined ? {} : { dark }),
      ...(throughput === undefined ? {} : { throughput }),
    },
  };
  const targets = side("to");
  return side("from").flatMap((from) =>
    targets
      .filter((to) => to !== from)
      .map((to): TopologyAction => ({ kind: "flow", flow: { ...common, from, to } })),
  );
}

/** iperf3's program comes from the guest's image. What images other than `base` hold is seen later. */
function checkImage(
  reading: Reading,
  node: ScalarNode,
  guests: readonly string[],
  drafts: Drafts,
): void {
  const without = guests.find((name) => drafts.get(name)?.image === "base");
  if (without === undefined) return;
  reading.problems.add(
    "BAD_VALUE",
    node,
    `\`${without}\` has no iperf3: its image is \`base\``,
    "give it `image: router`, or write `tcp` or `udp` instead of `iperf3`: these work in every image",
  );
}

function checkWholeSeconds(reading: Reading, node: ScalarNode | undefined): void {
  const ms = msOf(node?.text);
  if (node === undefined || ms === undefined || (ms >= 1000 && ms % 1000 === 0)) return;
  reading.problems.add(
    "BAD_VALUE",
    node,
    "iperf3 counts whole seconds",
    `write \`for: ${Math.max(1, Math.round(ms / 1000))}s\``,
  );
}

/** What it does, if that is one thing and whole. */
function checkAction(reading: Reading, map: MapNode): Action | undefined {
  const has = (key: string) => map.entries.has(key);
  const wrongKey = [...map.entries.values()].some(({ value }) => reading.isBad(value));
  if (wrongKey) return undefined;
  const actions = ACTIONS.filter(has);
  const [action] = actions;
  if (actions.length !== 1 || action === undefined) {
    reading.problems.add(
      "SCHEMA",
      map,
      actions.length === 0
        ? "this event does nothing"
        : `this event does ${actions.length} things: ${actions.map((name) => `\`${name}\``).join(", ")}`,
      FORMS,
    );
    return undefined;
  }
  const partners: Partial<Record<Action, readonly string[]>> = { link: ["set", "up"], run: ["on"] };
  const partner = partners[action];
  if (partner !== undefined && !partner.some(has)) {
    reading.problems.add(
      "SCHEMA",
      map,
      `this event has \`${action}\` without ${partner.map((name) => `\`${name}\``).join(" or ")}`,
      action === "link"
        ? "say what happens to the link: `up: false` or `set: { loss: 20% }`"
        : "say where it runs: `on: alice`",
    );
    return undefined;
  }
  return action;
}
