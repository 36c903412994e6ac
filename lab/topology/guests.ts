/** Guests: each one's keys over `defaults`, with everything but what links bring. */

import { readFileSync, statSync } from "node:fs";
import {
  type InterfaceAddress,
  type IpAddress,
  parseInterfaceAddress,
  parseIp,
} from "../../base/addresses.ts";
import { messageOf } from "../../base/errors.ts";
import { closest } from "../../base/similar.ts";
import { parseBytes } from "../../base/units.ts";
import type { GuestFile } from "../../kernel/guest/spec.ts";
import type { ForwardedPort } from "../../net/passt.ts";
import { isWrong, readRoute } from "./kinds.ts";
import type { Names } from "./names.ts";
import { asMap, asScalar, type Reading } from "./reading.ts";
import type { Span } from "./source.ts";
import type { TopologyGuest, TopologyRoute } from "./topology.ts";
import type { Entry, MapNode, Node, ScalarNode } from "./tree.ts";

export interface AddressDraft {
  readonly value: InterfaceAddress;
  readonly at: Span;
}

export interface InterfaceDraft {
  readonly name: string;
  readonly index: number;
  readonly addresses: AddressDraft[];
  mac: { readonly text: string; readonly at: Span } | undefined;
  /** What the interface says itself, then what its link says. */
  mtu: number | undefined;
  linkMtu: number | undefined;
  /** Where the one that counts is written. */
  mtuAt: Span | undefined;
  /** Where it is linked. */
  linkedAt: Span | undefined;
}

export interface GatewayDraft {
  readonly via: IpAddress;
  readonly at: Span;
  readonly fromDefaults: boolean;
}

export interface RouteDraft extends TopologyRoute {
  readonly at: Span;
}

export interface GuestDraft {
  readonly name: string;
  readonly key: Span;
  readonly image: string;
  readonly memoryBytes: number | undefined;
  readonly diskBytes: number | undefined;
  readonly kernel: string;
  readonly isolation: "fast" | "strict";
  readonly forward: boolean;
  readonly interfaces: Map<string, InterfaceDraft>;
  readonly gateways: readonly GatewayDraft[];
  readonly routes: readonly RouteDraft[];
  readonly sysctl: Readonly<Record<string, string>>;
  readonly files: readonly GuestFile[];
  readonly env: Readonly<Record<string, string>>;
  readonly run: readonly string[];
  readonly frr: string | undefined;
  readonly bird: string | undefined;
  /** Made true by a switch that has a way out. */
  internet: TopologyGuest["internet"];
  readonly ports: TopologyGuest["ports"];
  readonly service: boolean;
}

/** What one file may weigh: it crosses the control channel into every guest that has it. */
const LARGEST_FILE = 64 * 1024 * 1024;

export function interfaceOf(guest: GuestDraft, name: string): InterfaceDraft {
  let found = guest.interfaces.get(name);
  if (found === undefined) {
    found = {
      name,
      index: Number(name.slice(3)),
      addresses: [],
      mac: undefined,
      mtu: undefined,
      linkMtu: undefined,
      mtuAt: undefined,
      linkedAt: undefined,
    };
    guest.interfaces.set(name, found);
  }
  return found;
}

export function readGuests(
  reading: Reading,
  top: MapNode,
  names: Names,
  kernel: string,
): Map<string, GuestDraft> {
  const defaults = reading.map(top, "defaults");
  const guests = new Map<string, GuestDraft>();
  const files = new Map<string, GuestFile["content"] | undefined>();
  const hostPorts = new Map<string, string>();
  for (const { name, key, body } of names.guests) {
    const keys = new GuestKeys(reading, defaults, body);
    const draft: GuestDraft = {
      name,
      key,
      image: imageOf(reading, keys),
      memoryBytes: parseBytes(keys.text("memory") ?? ""),
      diskBytes: parseBytes(keys.text("disk") ?? ""),
      kernel: readKernel(reading, keys.scalar("kernel")) ?? kernel,
      isolation: keys.text("isolation") === "strict" ? "strict" : "fast",
      forward: asScalar(keys.get("forward"))?.value === true,
      interfaces: new Map(),
      gateways: gatewaysOf(reading, keys, name),
      routes: routesOf(reading, keys, name),
      sysctl: texts(keys.entries("sysctl")),
      files: filesOf(reading, keys, files),
      env: texts(keys.entries("env")),
      run: reading.items(keys.get("run")).flatMap((item) => asScalar(item)?.text ?? []),
      frr: configurationOf(reading, keys, "frr", files),
      bird: configurationOf(reading, keys, "bird", files),
      internet: internetOf(keys),
      ports: portsOf(reading, keys, name, hostPorts),
      service: asScalar(keys.get("service"))?.value === true,
    };
    checkMemory(reading, keys.scalar("memory"), draft.memoryBytes);
    checkDisk(reading, keys.scalar("disk"), draft.diskBytes);
    for (const entry of keys.entries("interfaces")) readInterface(reading, draft, entry);
    if (keys.isBad("interfaces")) reading.incomplete.add(name);
    guests.set(name, draft);
  }
  return guests;
}

/** The keys of one guest: its own, else those of `defaults`; maps entry by entry. */
class GuestKeys {
  readonly #reading: Reading;
  readonly #defaults: MapNode | undefined;
  readonly #own: MapNode | undefined;

  constructor(reading: Reading, defaults: MapNode | undefined, own: MapNode | undefined) {
    this.#reading = reading;
    this.#defaults = defaults;
    this.#own = own;
  }

  get(key: string): Node | undefined {
    if (this.#own?.entries.has(key)) return this.#reading.get(this.#own, key);
    return this.#reading.get(this.#defaults, key);
  }

  keySpan(key: string): Span | undefined {
    return (this.#own?.entries.get(key) ?? this.#defaults?.entries.get(key))?.key;
  }

  fromDefaults(key: string): boolean {
    return this.#own?.entries.has(key) !== true;
  }

  scalar(key: string): ScalarNode | undefined {
    return asScalar(this.get(key));
  }

  text(key: string): string | undefined {
    return this.scalar(key)?.text;
  }

  entries(key: string): Entry[] {
    const merged = new Map<string, Entry>();
    for (const map of [this.#defaults, this.#own]) {
      for (const entry of this.#reading.entries(this.#reading.get(map, key))) {
        merged.set(entry.key.text, entry);
      }
    }
    return [...merged.values()];
  }

  /** Something of this key was wrong. */
  isBad(key: string): boolean {
    return [this.#defaults, this.#own].some((map) => {
      const node = map?.entries.get(key)?.value;
      if (node === undefined) return false;
      return [...this.#reading.bad].some(
        (path) => path === node.path || path.startsWith(`${node.path}/`),
      );
    });
  }
}

const texts = (entries: readonly Entry[]): Record<string, string> =>
  Object.fromEntries(entries.map(({ key, value }) => [key.text, asScalar(value)?.text ?? ""]));

const ROUTING_DAEMONS = ["frr", "bird"] as const;

/** A routing daemon's configuration: text, or `{from: PATH}`. */
function configurationOf(
  reading: Reading,
  keys: GuestKeys,
  daemon: (typeof ROUTING_DAEMONS)[number],
  loaded: Map<string, Uint8Array | undefined>,
): string | undefined {
  const node = keys.get(daemon);
  const text = asScalar(node);
  if (text !== undefined) return text.text;
  const from = reading.scalar(asMap(node), "from");
  const content = from === undefined ? undefined : loadFile(reading, from, loaded);
  return content === undefined ? undefined : Buffer.from(content).toString("utf8");
}

function imageOf(reading: Reading, keys: GuestKeys): string {
  const routes = ROUTING_DAEMONS.some((daemon) => keys.get(daemon) !== undefined);
  const text = keys.text("image") ?? (routes ? "router" : "base");
  const path = /^(dir|file):(.*)$/s.exec(text);
  if (path !== null) return `${path[1]}:${reading.resolvePath(path[2] as string)}`;
  const packages = /^packages:\[(.*)\]$/s.exec(text)?.[1];
  if (packages === undefined) return text;
  return `packages:[${packages
    .split(",")
    .map((name) => name.trim())
    .join(",")}]`;
}

const KERNELS = ["auto", "debian", "lean"];

/** A kernel's name as it is, a path made absolute; undefined where none is named or it is wrong. */
export function readKernel(reading: Reading, node: ScalarNode | undefined): string | undefined {
  if (node === undefined) return undefined;
  const text = node.text;
  if (KERNELS.includes(text)) return text;
  const path = reading.resolvePath(text);
  let found = "no such file";
  try {
    if (statSync(path).isFile()) return path;
    found = "that is no file";
  } catch {
    // Said below.
  }
  const near = text.includes("/") ? undefined : closest(text, KERNELS);
  reading.problems.add(
    text.includes("/") ? "FILE_UNREADABLE" : "BAD_VALUE",
    node,
    text.includes("/")
      ? `the kernel \`${text}\`: ${found}`
      : `unknown kernel \`${text}\`${near === undefined ? "" : `; did you mean \`${near}\`?`}`,
    text.includes("/")
      ? `looked for ${path}: the path is relative to the topology file`
      : "write `auto`, `debian`, `lean`, or a path relative to this file",
  );
  return undefined;
}

/** Below, ext4 has no room for a journal. */
const SMALLEST_DISK = 32 * 1024 * 1024;
const LARGEST_DISK = 1024 ** 4;

function checkDisk(reading: Reading, node: ScalarNode | undefined, bytes: number | undefined) {
  if (node === undefined || bytes === undefined) return;
  if (bytes < SMALLEST_DISK) {
    const hint = "write at least `32M`; a disk takes only the room that its content needs";
    reading.problems.add("BAD_VALUE", node, `a disk of ${node.text} is too small`, hint);
  } else if (bytes > LARGEST_DISK) {
    const hint = "write at most `1T`";
    reading.problems.add("BAD_VALUE", node, `a disk of ${node.text} is too large`, hint);
  }
}

function checkMemory(reading: Reading, node: ScalarNode | undefined, bytes: number | undefined) {
  if (node === undefined || bytes === undefined) return;
  const mebi = 1024 * 1024;
  if (bytes < 16 * mebi) {
    reading.problems.add(
      "BAD_VALUE",
      node,
      `no kernel boots in ${node.text}`,
      "write at least `24M`, or leave `memory` away for what the image needs",
    );
  } else if (bytes > 256 * 1024 * mebi) {
    reading.problems.add(
      "BAD_VALUE",
      node,
      `${node.text} is more than a guest can have`,
      "write at most `256G`",
    );
  }
}

function gatewaysOf(reading: Reading, keys: GuestKeys, guest: string): GatewayDraft[] {
  const node = keys.get("gateway");
  const nodes = node?.kind === "list" ? reading.items(node) : node === undefined ? [] : [node];
  const gateways: GatewayDraft[] = [];
  for (const item of nodes) {
    const via = parseIp(asScalar(item)?.text ?? "");
    if (via === undefined) continue;
    if (gateways.some((other) => other.via.family === via.family)) {
      reading.problems.add(
        "BAD_VALUE",
        item,
        `\`${guest}\` has two IPv${via.family} gateways`,
        "a list of gateways has one IPv4 and one IPv6 address",
      );
      continue;
    }
    gateways.push({ via, at: item, fromDefaults: keys.fromDefaults("gateway") });
  }
  return gateways;
}

function routesOf(reading: Reading, keys: GuestKeys, guest: string): RouteDraft[] {
  const routes: RouteDraft[] = [];
  for (const item of reading.items(keys.get("routes"))) {
    const route = readRoute(asScalar(item)?.text ?? "");
    if (isWrong(route)) continue;
    const same = routes.some(
      ({ to }) =>
        to.address.family === route.to.address.family &&
        to.address.value === route.to.address.value &&
        to.prefixLength === route.to.prefixLength,
    );
    if (same) {
      reading.problems.add(
        "BAD_VALUE",
        item,
        `\`${guest}\` has a second route to the same subnet`,
        "keep one of the two",
      );
      continue;
    }
    routes.push({ ...route, at: item });
  }
  return routes;
}

function readInterface(reading: Reading, guest: GuestDraft, { key, value }: Entry): void {
  const draft = interfaceOf(guest, key.text);
  const map = asMap(value);
  const addresses = map === undefined ? value : reading.get(map, "addresses");
  const nodes = addresses?.kind === "list" ? reading.items(addresses) : [addresses];
  for (const node of nodes) {
    const scalar = asScalar(node);
    const address = parseInterfaceAddress(scalar?.text ?? "");
    if (scalar !== undefined && address !== undefined) {
      draft.addresses.push({ value: address, at: scalar });
    }
  }
  const mac = reading.scalar(map, "mac");
  if (mac !== undefined) draft.mac = { text: mac.text.toLowerCase(), at: mac };
  draft.mtu = reading.number(map, "mtu");
  if (draft.mtu !== undefined) draft.mtuAt = reading.scalar(map, "mtu");
}

function filesOf(
  reading: Reading,
  keys: GuestKeys,
  loaded: Map<string, Uint8Array | undefined>,
): GuestFile[] {
  const files: GuestFile[] = [];
  for (const { key, value } of keys.entries("files")) {
    const path = key.text;
    const text = asScalar(value);
    if (text !== undefined) {
      files.push({ path, content: Buffer.from(text.text), mode: 0o644 });
      continue;
    }
    const map = asMap(value);
    const from = reading.scalar(map, "from");
    const inline = reading.scalar(map, "text");
    if (map !== undefined && (from === undefined) === (inline === undefined)) {
      const both = from !== undefined;
      if (both || !(map.entries.has("from") || map.entries.has("text"))) {
        reading.problems.add(
          "SCHEMA",
          key,
          `\`${path}\` has ${both ? "both `from` and `text`" : "no content"}`,
          "write either `from: PATH` or `text: …`",
        );
      }
      continue;
    }
    const mode = modeOf(reading, map);
    if (inline !== undefined) {
      files.push({ path, content: Buffer.from(inline.text), mode: mode ?? 0o644 });
    } else if (from !== undefined) {
      const content = loadFile(reading, from, loaded);
      if (content === undefined) continue;
      const executable = (statSync(reading.resolvePath(from.text)).mode & 0o100) !== 0;
      files.push({ path, content, mode: mode ?? (executable ? 0o755 : 0o644) });
    }
  }
  return files;
}

/** Octal as a person writes it: `755`, `0755`, `"0o755"` are all rwxr-xr-x. */
function modeOf(reading: Reading, map: MapNode | undefined): number | undefined {
  const node = reading.scalar(map, "mode");
  if (node === undefined) return undefined;
  const digits = /^(?:0o?)?([0-7]{3,4})$/.exec(node.text)?.[1];
  if (digits === undefined) {
    reading.problems.add(
      "BAD_VALUE",
      node,
      `\`${node.text}\` is not a file's mode`,
      "write permission bits in octal: `644` or `755`",
    );
    return undefined;
  }
  return Number.parseInt(digits, 8);
}

function loadFile(
  reading: Reading,
  from: ScalarNode,
  loaded: Map<string, Uint8Array | undefined>,
): Uint8Array | undefined {
  const path = reading.resolvePath(from.text);
  if (loaded.has(path)) return loaded.get(path);
  let content: Uint8Array | undefined;
  const complain = (why: string) =>
    reading.problems.add(
      "FILE_UNREADABLE",
      from,
      `\`${from.text}\`: ${why}`,
      `looked for ${path}: \`from\` is relative to the topology file`,
    );
  try {
    const stat = statSync(path);
    if (!stat.isFile()) complain("that is no file");
    else if (stat.size > LARGEST_FILE) complain("the file is larger than 64 MB");
    else content = readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    complain(
      code === "ENOENT"
        ? "no such file"
        : code === "EACCES"
          ? "no right to read it"
          : messageOf(error),
    );
  }
  loaded.set(path, content);
  return content;
}

function internetOf(keys: GuestKeys): TopologyGuest["internet"] {
  const value = keys.scalar("internet")?.value;
  return value === "host" ? "host" : value === true ? "outside" : "none";
}

function portsOf(
  reading: Reading,
  keys: GuestKeys,
  guest: string,
  taken: Map<string, string>,
): ForwardedPort[] {
  const ports: ForwardedPort[] = [];
  for (const item of reading.items(keys.get("ports"))) {
    const match = /^(\d+):(\d+)(?:\/(tcp|udp))?$/.exec(asScalar(item)?.text ?? "");
    if (match === null) continue;
    const protocol = match[3] === "udp" ? "udp" : "tcp";
    const port = `${match[1]}/${protocol}`;
    const other = taken.get(port);
    if (other === undefined) taken.set(port, guest);
    else {
      reading.problems.add(
        "ADDRESS_CLASH",
        item,
        `the host's port ${port} is forwarded to \`${other}\` already`,
        "take another host port, the number before the colon",
      );
    }
    ports.push({ protocol, host: Number(match[1]), guest: Number(match[2]) });
  }
  return ports;
}
