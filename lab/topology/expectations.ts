/** `expect` and `events`: names looked up, contradictions found. */

import { closest } from "../../base/similar.ts";
import { parseDurationNs } from "../../base/units.ts";
import { regexpOf, splitPair } from "./kinds.ts";
import { type Names, nameSpan } from "./names.ts";
import { parseRange } from "./ranges.ts";
import { asList, asMap, asScalar, type Reading } from "./reading.ts";
import type { Span } from "./source.ts";
import type { PairRule, TopologyCheck } from "./topology.ts";
import type { MapNode, Node } from "./tree.ts";

export interface Expectations {
  readonly rules: readonly PairRule[];
  readonly checks: readonly TopologyCheck[];
  readonly settleMs: number;
}

const DEFAULT_SETTLE_MS = 10_000;

/** Keys of `expect` that `notYet` decides about. */
const FEATURES = ["routes", "path", "perf", "listen", "sees"] as const;

export function readExpectations(
  reading: Reading,
  expect: MapNode | undefined,
  names: Names,
  links: readonly { readonly name: string }[],
): Expectations {
  const settleNs = parseDurationNs(reading.text(expect, "settle") ?? "");
  const settleMs = settleNs === undefined ? DEFAULT_SETTLE_MS : settleNs / 1e6;
  const seen: ExactPairs = new Map();
  const rules = [
    ...readRules(reading, reading.get(expect, "reach"), "reach", names, seen),
    ...readRules(reading, reading.get(expect, "isolate"), "isolate", names, seen),
  ];
  // Only what is said of pairs (or of anything else) replaces the default; `settle` alone does not.
  const says = expect !== undefined && [...expect.entries.keys()].some((key) => key !== "settle");
  if (!says) {
    const all = names.guests.map(({ name }) => name);
    rules.push({ expected: "reach", from: all, to: all, exactness: 0 });
  }
  const checks = reading.items(reading.get(expect, "checks")).flatMap((node) => {
    const map = asMap(node);
    return map === undefined ? [] : readCheck(reading, map, names, settleMs);
  });
  for (const feature of FEATURES) {
    const entry = expect?.entries.get(feature);
    if (entry !== undefined) reading.use(`expect.${feature}`, entry.key);
  }
  checkOtherNames(reading, expect, names, links);
  return { rules, checks, settleMs };
}

function readRules(
  reading: Reading,
  list: Node | undefined,
  expected: PairRule["expected"],
  names: Names,
  seen: ExactPairs,
): PairRule[] {
  const all = names.guests.map(({ name }) => name);
  return reading.items(list).flatMap((item) => {
    const scalar = asScalar(item);
    const pair = splitPair(scalar?.text ?? "");
    if (scalar === undefined || pair === undefined) return [];
    const side = (text: string, index: number) =>
      text === "*" ? all : names.guestsOf(text, nameSpan(scalar, index, text));
    const from = side(pair.left, pair.leftIndex);
    const to = side(pair.right, pair.rightIndex);
    const exact = (text: string) => (text === "*" ? 0 : parseRange(text) === undefined ? 2 : 1);
    const exactness = exact(pair.left) + exact(pair.right);
    if (exactness === 4 && pair.left === pair.right) {
      reading.problems.add(
        "BAD_VALUE",
        scalar,
        `\`${pair.left}\` is paired with itself`,
        "name two guests",
      );
    }
    const rules: PairRule[] = [{ expected, from, to, exactness }];
    if (pair.both) rules.push({ expected, from: to, to: from, exactness });
    if (exactness === 4) checkContradiction(reading, scalar, rules, expected, seen);
    return rules;
  });
}

/** Exact pairs by `alice -> bob`: none can be in both lists. */
type ExactPairs = Map<string, { readonly expected: string; readonly at: Span }>;

function checkContradiction(
  reading: Reading,
  at: Span,
  rules: readonly PairRule[],
  expected: string,
  seen: ExactPairs,
) {
  for (const { from, to } of rules) {
    const key = `${from[0]} -> ${to[0]}`;
    if (from[0] === undefined || to[0] === undefined) continue;
    const before = seen.get(key);
    if (before === undefined) seen.set(key, { expected, at });
    else if (before.expected !== expected) {
      const line = reading.source.position(before.at.start).line;
      reading.problems.add(
        "BAD_VALUE",
        at,
        `\`${key}\` is in both \`reach\` (line ${line}) and \`isolate\``,
        "keep it in one of the two",
      );
    }
  }
}

function readCheck(
  reading: Reading,
  map: MapNode,
  names: Names,
  settleMs: number,
): TopologyCheck[] {
  const on = reading.scalar(map, "on");
  const run = reading.text(map, "run");
  const guests = on === undefined ? [] : names.guestsOf(on.text, on);
  if (run === undefined) return [];
  const output = reading.text(map, "output");
  const regexp = output === undefined ? undefined : regexpOf(output);
  const within = parseDurationNs(reading.text(map, "within") ?? "");
  const name = reading.text(map, "name") ?? run;
  return guests.map((guest) => ({
    name: guests.length > 1 ? `${name} (${guest})` : name,
    on: guest,
    run,
    output:
      output === undefined ? undefined : regexp === undefined ? { contains: output } : { regexp },
    exit: reading.number(map, "exit") ?? 0,
    withinMs: within === undefined ? settleMs : within / 1e6,
    points: reading.number(map, "points") ?? 1,
  }));
}

/** Names in the parts of `expect` that are only looked at here. */
function checkOtherNames(
  reading: Reading,
  expect: MapNode | undefined,
  names: Names,
  links: readonly { readonly name: string }[],
): void {
  const guest = (node: Node | undefined) => {
    const scalar = asScalar(node);
    if (scalar !== undefined) names.guestsOf(scalar.text, scalar);
  };
  for (const key of ["routes", "listen"]) {
    for (const entry of reading.entries(reading.get(expect, key)))
      names.guestsOf(entry.key.text, entry.key);
  }
  for (const key of ["path", "perf"]) {
    for (const item of reading.items(reading.get(expect, key))) {
      const map = asMap(item);
      guest(reading.get(map, "from"));
      guest(reading.get(map, "to"));
      for (const via of reading.items(reading.get(map, "via"))) guest(via);
    }
  }
  for (const item of reading.items(reading.get(expect, "sees"))) {
    checkLink(reading, reading.get(asMap(item), "link"), links);
  }
}

function checkLink(
  reading: Reading,
  node: Node | undefined,
  links: readonly { readonly name: string }[],
): void {
  const scalar = asScalar(node);
  if (scalar === undefined || links.some(({ name }) => name === scalar.text)) return;
  // A link that was not understood may be the one.
  if (reading.incomplete.size > 0 || [...reading.bad].some((path) => path.startsWith("/links")))
    return;
  const known = links.map(({ name }) => name);
  const near = closestLink(scalar.text, known);
  reading.problems.add(
    "UNKNOWN_NAME",
    scalar,
    `unknown link \`${scalar.text}\`${near === undefined ? "" : `; did you mean \`${near}\`?`}`,
    known.length === 0
      ? "no link is declared"
      : `name links with \`name:\`; these are ${known
          .slice(0, 6)
          .map((name) => `\`${name}\``)
          .join(", ")}${known.length > 6 ? ", …" : ""}`,
  );
}

function closestLink(text: string, known: readonly string[]): string | undefined {
  const [a, b] = text.split("--");
  const reversed = b === undefined ? undefined : known.find((name) => name === `${b}--${a}`);
  return reversed ?? closest(text, known);
}

/** What an event does: exactly one of these. */
const ACTIONS = [
  "link",
  "run",
  "stop",
  "start",
  "pause",
  "resume",
  "ping",
  "iperf3",
  "expect",
] as const;

export function readEvents(
  reading: Reading,
  top: MapNode,
  names: Names,
  links: readonly { readonly name: string }[],
): void {
  const list = asList(top.entries.get("events")?.value);
  const key = top.entries.get("events")?.key;
  if (list !== undefined && list.items.length > 0 && key !== undefined) reading.use("events", key);
  for (const item of list?.items ?? []) {
    const map = asMap(item);
    if (map === undefined || reading.isBad(item)) continue;
    checkLink(reading, reading.get(map, "link"), links);
    for (const key of ["on", "stop", "start", "pause", "resume"]) {
      const node = reading.scalar(map, key);
      if (node !== undefined) names.guestsOf(node.text, node);
    }
    for (const key of ["ping", "iperf3"]) {
      for (const end of ["from", "to"]) {
        const node = reading.scalar(reading.map(map, key), end);
        if (node !== undefined) names.guestsOf(node.text, node);
      }
    }
    const expect = reading.map(map, "expect");
    if (expect !== undefined) readExpectations(reading, expect, names, links);
    checkAction(reading, map);
  }
}

function checkAction(reading: Reading, map: MapNode): void {
  const has = (key: string) => map.entries.has(key);
  const wrongKey = [...map.entries.values()].some(({ value }) => reading.isBad(value));
  if (wrongKey) return;
  const actions = ACTIONS.filter(has);
  const [action] = actions;
  if (actions.length !== 1 || action === undefined) {
    reading.problems.add(
      "SCHEMA",
      map,
      actions.length === 0
        ? "this event does nothing"
        : `this event does ${actions.length} things: ${actions.map((name) => `\`${name}\``).join(", ")}`,
      "an event is one of `link` with `set` or `up`, `on` with `run`, `stop`, `start`, `pause`, `resume`, `ping`, `iperf3`, `expect`",
    );
    return;
  }
  const partners: Partial<Record<(typeof ACTIONS)[number], readonly string[]>> = {
    link: ["set", "up"],
    run: ["on"],
  };
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
  }
}
