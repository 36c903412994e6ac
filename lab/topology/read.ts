/**
 * Reads a topology file: text -> tree -> schema -> meaning. All errors of the file come at once,
 * none because of another.
 *
 *     bytes --tree.ts--> nodes with places --schema.ts--> right and wrong nodes
 *       --names, guests, links, addresses, expectations--> Topology, or LabErrors
 */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";
import { seedOfName } from "../../base/random.ts";
import { parseDurationNs } from "../../base/units.ts";
import {
  checkClashes,
  type GivenAddresses,
  giveAddresses,
  NONE_GIVEN,
  readRoutes,
} from "./addresses.ts";
import { readEvents } from "./events.ts";
import { readExpectations } from "./expectations.ts";
import { type GuestDraft, interfaceOf, readGuests, readKernel } from "./guests.ts";
import { MOST_GUESTS, MOST_INTERFACES } from "./kinds.ts";
import { checkFrom, readLinks } from "./links.ts";
import { Names } from "./names.ts";
import { Problems } from "./problems.ts";
import { asMap, Reading } from "./reading.ts";
import { checkRestrictions, type Restrictions } from "./restrictions.ts";
import { checkSchema } from "./schema.ts";
import { switchLoops, transparentSwitches } from "./segments.ts";
import { Source } from "./source.ts";
import type { Topology, TopologyGuest, TopologyRoute, TopologySwitch } from "./topology.ts";
import { type MapNode, readTree, type ScalarNode } from "./tree.ts";
import type { Environment } from "./variables.ts";

/**
 * @param file path of the topology. @param env for `${NAME}`. @param given addresses that interfaces
 * keep where they would be given one.
 * @throws LabErrors with every error of the file, LabError (FILE_UNREADABLE) where it cannot be read.
 */
export async function readTopology(
  file: string,
  env: Environment = process.env,
  given: GivenAddresses = NONE_GIVEN,
): Promise<Topology> {
  const path = resolve(file);
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why: Record<string, string> = {
      ENOENT: "no such file",
      EISDIR: "that is a folder",
      EACCES: "no right to read it",
    };
    throw new LabError(
      "FILE_UNREADABLE",
      `cannot read ${file}: ${why[code ?? ""] ?? messageOf(cause)}`,
      {
        cause,
        hint: "name a topology file, for instance `uml-lab up topology.yaml`",
      },
    );
  }
  return parseTopology(path, bytes, env, undefined, given);
}

/** The same from bytes in memory; `file` is where `from` paths are relative to. */
export function parseTopology(
  file: string,
  bytes: Uint8Array,
  env: Environment,
  restrictions?: Restrictions,
  given: GivenAddresses = NONE_GIVEN,
): Topology {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const broken = new Source(file, new TextDecoder("utf-8").decode(bytes));
    const at = Math.max(0, broken.text.indexOf("\ufffd"));
    const problems = new Problems(broken);
    problems.add(
      "YAML_SYNTAX",
      { start: at, end: at + 1 },
      "the file is not UTF-8: this byte belongs to no character",
      "save the file as UTF-8",
    );
    throw problems.all();
  }
  const source = new Source(file, text);
  const problems = new Problems(source);
  const tree = readTree(source, env, problems);
  if (tree === undefined) problems.throwIfAny();
  const root = tree?.root;
  if (tree === undefined || root?.kind !== "map") {
    problems.add(
      "SCHEMA",
      { start: root?.start ?? 0, end: root?.end ?? 1 },
      "a topology is a map",
      "begin with `name: my-lab`",
    );
    throw problems.all();
  }
  const bad = checkSchema(tree, problems);
  if (restrictions !== undefined) checkRestrictions(root, source, restrictions, problems, bad);
  const topology = readMeaning(new Reading(source, problems, bad), root, given);
  problems.throwIfAny();
  return topology;
}

function readMeaning(reading: Reading, top: MapNode, given: GivenAddresses): Topology {
  const name = reading.text(top, "name") ?? "";
  const kernel = readKernel(reading, reading.scalar(top, "kernel")) ?? "auto";
  const names = new Names(reading, top);
  const all = names.guests;
  const tooMany = all[MOST_GUESTS];
  if (tooMany !== undefined) {
    reading.problems.add(
      "BAD_VALUE",
      tooMany.key,
      `this makes ${all.length} guests`,
      `a lab has at most ${MOST_GUESTS}`,
    );
  }
  const guests = readGuests(reading, top, names, kernel);
  const taps = readTaps(reading, names);
  const switches = names.switches.map(({ name, body }): TopologySwitch => {
    const ageing = parseDurationNs(reading.text(body, "ageing") ?? "");
    return {
      name,
      hub: reading.boolean(body, "hub") ?? false,
      ageingMs: ageing === undefined ? 300_000 : ageing / 1e6,
      tap: taps.get(name),
    };
  });
  const outward = new Set(
    names.switches.filter(({ body }) => reading.boolean(body, "internet")).map(({ name }) => name),
  );
  const hubs = new Set(switches.filter(({ hub }) => hub).map(({ name }) => name));
  const links = readLinks(reading, top, names, guests, hubs);
  for (const { ends } of links) {
    if (!ends.some((end) => end.kind === "switch" && outward.has(end.switch))) continue;
    for (const end of ends) {
      const guest = end.kind === "guest" ? guests.get(end.guest) : undefined;
      if (guest?.internet === "none") guest.internet = "outside";
    }
  }
  const transparent = transparentSwitches(links, switches);
  checkFrom(reading, top);
  const allowLoops = reading.boolean(top, "allow_loops") ?? false;
  if (!allowLoops) {
    for (const { link, loop } of switchLoops(links, transparent)) {
      reading.problems.add(
        "SWITCH_LOOP",
        { start: link.places[0].start, end: link.places[1].end },
        `this link closes a loop of switches: ${loop.join(" -- ")}`,
        "a broadcast would circle in it for ever: remove a link, or write `allow_loops: true` at the top level where a tree protocol or the lesson wants it",
      );
    }
  }
  for (const guest of guests.values()) fillInterfaces(reading, guest);
  giveAddresses(reading, names, guests, links, given);
  checkClashes(reading, guests, links, transparent);
  const routes = readRoutes(reading, names, guests, links);
  const cables = [...links, ...[...taps.values()].map(({ link }) => ({ name: link }))];
  const expectations = readExpectations(reading, asMap(reading.get(top, "expect")), names, cables);
  const events = readEvents(reading, top, names, guests, cables);
  if (reading.text(top, "clock") === "virtual") {
    reading.use("clock: virtual", top.entries.get("clock")?.key ?? top);
  }
  return {
    name,
    description: reading.text(top, "description"),
    file: reading.source.file,
    clock: reading.text(top, "clock") === "virtual" ? "virtual" : "wall",
    seed: reading.number(top, "seed") ?? seedOfName(name),
    routing: reading.text(top, "routing") === "static" ? "static" : "none",
    allowLoops,
    guests: [...guests.values()].map((guest) => finishGuest(guest, routes.get(guest.name) ?? [])),
    switches,
    links: links.map(({ name, ends, up, impairments }) => ({ name, ends, up, impairments })),
    ...expectations,
    events,
    used: reading.used,
  };
}

/** By switch: the TAP that is plugged in. A TAP has one cable. */
function readTaps(reading: Reading, names: Names): Map<string, NonNullable<TopologySwitch["tap"]>> {
  const taps = new Map<string, NonNullable<TopologySwitch["tap"]>>();
  const owners = new Map<string, { readonly name: string; readonly at: ScalarNode }>();
  for (const { name, body } of names.switches) {
    const at = reading.scalar(body, "tap");
    if (at === undefined) continue;
    const owner = owners.get(at.text);
    owners.set(at.text, owner ?? { name, at });
    if (owner === undefined) taps.set(name, { device: at.text, link: `${name}:${at.text}` });
    else {
      reading.problems.add(
        "DUPLICATE_NAME",
        at,
        `the TAP \`${at.text}\` is plugged in at \`${owner.name}\` already (line ${reading.source.position(owner.at.start).line})`,
        owner.at === at
          ? "write each switch of the range for itself, with a TAP of its own"
          : "take another TAP, or join the switches with a link",
      );
    }
  }
  return taps;
}

/** The kernel numbers NICs without gaps: `eth2` alone brings an eth0 and an eth1 without cables. */
function fillInterfaces(reading: Reading, guest: GuestDraft): void {
  const highest = Math.max(-1, ...[...guest.interfaces.values()].map(({ index }) => index));
  if (highest >= MOST_INTERFACES) {
    const at = guest.interfaces.get(`eth${highest}`)?.linkedAt ?? guest.key;
    reading.problems.add(
      "BAD_VALUE",
      at,
      `\`${guest.name}\` has ${highest + 1} interfaces`,
      `a guest has at most ${MOST_INTERFACES}`,
    );
  }
  for (let index = 0; index < Math.min(highest, MOST_INTERFACES); index++)
    interfaceOf(guest, `eth${index}`);
}

function finishGuest(guest: GuestDraft, routes: readonly TopologyRoute[]): TopologyGuest {
  const interfaces = [...guest.interfaces.values()].sort((a, b) => a.index - b.index);
  return {
    name: guest.name,
    image: guest.image,
    memoryBytes: guest.memoryBytes,
    diskBytes: guest.diskBytes,
    kernel: guest.kernel,
    isolation: guest.isolation,
    forward: guest.forward,
    interfaces: interfaces.map(({ name, addresses, mac, mtu, linkMtu }) => ({
      name,
      addresses: addresses.map(({ value }) => value),
      mac: mac?.text,
      mtu: mtu ?? linkMtu ?? 1500,
    })),
    routes,
    sysctl: guest.sysctl,
    files: guest.files,
    env: guest.env,
    run: guest.run,
    frr: guest.frr,
    bird: guest.bird,
    internet: guest.internet,
    ports: guest.ports,
    service: guest.service,
  };
}
