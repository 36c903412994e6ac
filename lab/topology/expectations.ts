/** `expect`: names looked up, contradictions found. */

import { parseDurationNs } from "../../base/units.ts";
import { readClaims } from "./claims.ts";
import { regexpOf, splitPair } from "./kinds.ts";
import { type Names, nameSpan } from "./names.ts";
import { parseRange } from "./ranges.ts";
import { asMap, asScalar, type Reading } from "./reading.ts";
import type { Span } from "./source.ts";
import type { PairRule, TopologyCheck, TopologyExpectations } from "./topology.ts";
import type { MapNode, Node } from "./tree.ts";

const DEFAULT_SETTLE_MS = 10_000;

export function readExpectations(
  reading: Reading,
  expect: MapNode | undefined,
  names: Names,
  links: readonly { readonly name: string }[],
): TopologyExpectations {
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
  return { rules, checks, claims: readClaims(reading, expect, names, links), settleMs };
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
