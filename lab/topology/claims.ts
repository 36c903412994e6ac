/** What `expect` says beyond pairs and commands: routes, paths, performance, ports, frames. */

import { formatInterfaceAddress, formatIp } from "../../base/addresses.ts";
import { parseBitsPerSecond, parseDurationNs, parseFraction } from "../../base/units.ts";
import { compileFilter, FilterError } from "../../net/capture/filter.ts";
import type { Bound, ListenPort } from "../plan/expect-plan.ts";
import { isWrong, readRoute } from "./kinds.ts";
import { checkLink } from "./link-names.ts";
import type { Names } from "./names.ts";
import { asMap, asScalar, type Reading } from "./reading.ts";
import type { TopologyClaim } from "./topology.ts";
import { type MapNode, type Node, spanIn } from "./tree.ts";

export function readClaims(
  reading: Reading,
  expect: MapNode | undefined,
  names: Names,
  links: readonly { readonly name: string }[],
): TopologyClaim[] {
  return [
    ...readRoutes(reading, expect, names),
    ...readListening(reading, expect, names),
    ...readPaths(reading, expect, names),
    ...readPerformance(reading, expect, names),
    ...readSightings(reading, expect, links),
  ];
}

const pointsOf = (reading: Reading, map: MapNode | undefined): number =>
  reading.number(map, "points") ?? 1;

function readRoutes(reading: Reading, expect: MapNode | undefined, names: Names): TopologyClaim[] {
  return reading.entries(reading.get(expect, "routes")).flatMap(({ key, value }) => {
    const guests = names.guestsOf(key.text, key);
    const map = asMap(value);
    const [form, ...others] = ["exactly", "contains"].filter((name) => map?.entries.has(name));
    if (map !== undefined && (form === undefined || others.length > 0)) {
      reading.problems.add(
        "SCHEMA",
        value,
        form === undefined
          ? "these routes are neither `exactly` nor `contains`"
          : "these routes are both `exactly` and `contains`",
        'write a list, `{ exactly: ["10.0.2.0/24 via 10.0.12.2"] }` or `{ contains: […] }`',
      );
      return [];
    }
    const list = map === undefined ? value : reading.get(map, form as string);
    const routes = reading.items(list).flatMap((item) => {
      const route = readRoute(asScalar(item)?.text ?? "");
      if (isWrong(route)) return [];
      const { to, via } = route;
      return [
        { to: to.prefixLength === 0 ? "default" : formatInterfaceAddress(to), via: formatIp(via) },
      ];
    });
    const exactly = form === "exactly";
    const said = routes.map(({ to, via }) => `${to} via ${via}`).join(", ");
    return guests.map((guest) => ({
      kind: "routes" as const,
      guest,
      routes,
      exactly,
      on: guest,
      name: exactly
        ? `${guest} has exactly the routes ${said === "" ? "of its own subnets" : said}`
        : `${guest} has ${said}`,
      points: pointsOf(reading, map),
    }));
  });
}

function readListening(
  reading: Reading,
  expect: MapNode | undefined,
  names: Names,
): TopologyClaim[] {
  return reading.entries(reading.get(expect, "listen")).flatMap(({ key, value }) => {
    const map = asMap(value);
    const ports = reading
      .items(map === undefined ? value : reading.get(map, "ports"))
      .flatMap((item): ListenPort[] => {
        const [, port, protocol] = /^(\d+)(?:\/(tcp|udp))?$/.exec(asScalar(item)?.text ?? "") ?? [];
        if (port === undefined) return [];
        return [{ port: Number(port), protocol: protocol === "udp" ? "udp" : "tcp" }];
      });
    const said = ports.map(({ port, protocol }) => `${protocol} ${port}`).join(", ");
    return names.guestsOf(key.text, key).map((guest) => ({
      kind: "listen" as const,
      guest,
      ports,
      on: guest,
      name: `${guest} listens on ${said}`,
      points: pointsOf(reading, map),
    }));
  });
}

/** Both ends of a path or a measurement, ranges expanded. */
function readEnds(
  reading: Reading,
  map: MapNode | undefined,
  names: Names,
): { readonly from: string; readonly to: string }[] {
  const side = (key: string) => {
    const node = reading.scalar(map, key);
    return node === undefined ? [] : names.guestsOf(node.text, node);
  };
  const targets = side("to");
  const pairs = side("from").flatMap((from) => targets.map((to) => ({ from, to })));
  const node = reading.get(map, "to");
  if (node !== undefined && pairs.length === 1 && pairs[0]?.from === pairs[0]?.to) {
    reading.problems.add("BAD_VALUE", node, "it leads to where it begins", "name two guests");
  }
  return pairs.filter(({ from, to }) => from !== to);
}

function readPaths(reading: Reading, expect: MapNode | undefined, names: Names): TopologyClaim[] {
  return reading.items(reading.get(expect, "path")).flatMap((item) => {
    const map = asMap(item);
    const via = reading.items(reading.get(map, "via")).flatMap((node) => {
      const scalar = asScalar(node);
      return scalar === undefined ? [] : names.guestsOf(scalar.text, scalar);
    });
    return readEnds(reading, map, names).map(({ from, to }) => ({
      kind: "path" as const,
      from,
      to,
      via,
      on: from,
      name: `${from} -> ${to} goes ${via.length === 0 ? "straight" : `via ${via.join(", ")}`}`,
      points: pointsOf(reading, map),
    }));
  });
}

const MEASURES = {
  tcp: parseBitsPerSecond,
  udp: parseBitsPerSecond,
  rtt: parseDurationNs,
  loss: parseFraction,
} as const;

function readPerformance(
  reading: Reading,
  expect: MapNode | undefined,
  names: Names,
): TopologyClaim[] {
  return reading.items(reading.get(expect, "perf")).flatMap((item) => {
    const map = asMap(item);
    const bounds: Record<string, Bound> = {};
    for (const [measure, parse] of Object.entries(MEASURES)) {
      const bound = boundOf(reading.text(map, measure), parse);
      if (bound !== undefined) bounds[measure] = bound;
    }
    const said = Object.entries(bounds).map(([measure, { text }]) => `${measure} ${text}`);
    const bad = [...(map?.entries.values() ?? [])].some(({ value }) => reading.isBad(value));
    if (said.length === 0 && !bad) {
      reading.problems.add(
        "SCHEMA",
        item,
        "this measurement has no bound",
        'write at least one of `tcp: ">= 8Mbit"`, `udp: ">= 8Mbit"`, `rtt: "<= 50ms"`, `loss: "<= 1%"`',
      );
    }
    return readEnds(reading, map, names).map(({ from, to }) => ({
      kind: "perf" as const,
      from,
      to,
      bounds,
      on: from,
      name: `${from} -> ${to}: ${said.join(", ")}`,
      points: pointsOf(reading, map),
    }));
  });
}

function readSightings(
  reading: Reading,
  expect: MapNode | undefined,
  links: readonly { readonly name: string }[],
): TopologyClaim[] {
  return reading.items(reading.get(expect, "sees")).flatMap((item) => {
    const map = asMap(item);
    const link = reading.scalar(map, "link");
    if (link === undefined || !checkLink(reading, link, links)) return [];
    const filter = reading.text(map, "filter") ?? "";
    checkFilter(reading, reading.get(map, "filter"));
    const text = reading.text(map, "count") ?? ">= 1";
    const count = boundOf(/^\d+$/.test(text) ? `== ${text}` : text, Number);
    if (count === undefined) return [];
    const frames = filter === "" ? "frames" : `frames of \`${filter}\``;
    return [
      {
        kind: "sees" as const,
        link: link.text,
        filter,
        count,
        // two that ask the same share a watch
        watch: `sees ${link.text} ${filter}`,
        on: link.text,
        name: `${link.text} sees ${count.relation === "==" ? count.value : text} ${frames}`,
        points: pointsOf(reading, map),
      },
    ];
  });
}

function checkFilter(reading: Reading, node: Node | undefined): void {
  const scalar = asScalar(node);
  if (scalar === undefined) return;
  try {
    compileFilter(scalar.text);
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    reading.problems.add(
      "BAD_VALUE",
      spanIn(scalar, error.at, Math.max(1, scalar.text.length - error.at)),
      `this filter is none: ${error.message}`,
      "write it as for `uml-lab capture --filter`: `icmp and host 10.0.1.10`",
    );
  }
}

/** `>= 8Mbit` read with a parser of its unit. */
export function boundOf(
  text: string | undefined,
  parse: (text: string) => number | undefined,
): Bound | undefined {
  const match = /^\s*(>=|<=|>|<|==?)\s*(\S+)\s*$/.exec(text ?? "");
  if (match === null) return undefined;
  const relation = match[1] === "=" ? "==" : (match[1] as Bound["relation"]);
  const value = parse(match[2] as string);
  return value === undefined ? undefined : { relation, value, text: `${relation} ${match[2]}` };
}
