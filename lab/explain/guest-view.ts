/**
 * What a guest's kernel says of its network, asked in one go: a shell script with one section a
 * question, and what its output means. Nothing is changed in the guest. What its image has no
 * program for stays unknown, and a diagnosis does without.
 */

import {
  contains,
  type Family,
  formatInterfaceAddress,
  type InterfaceAddress,
  networkOf,
  parseInterfaceAddress,
  parseIp,
} from "../../base/addresses.ts";
import { type DropRule, parseIptables, parseNftables, parseTrafficControl } from "./firewall.ts";

/** A look-up in the guest's routing tables, as its kernel would do it. */
export interface Lookup {
  readonly to: string;
  /** For a packet on its way through: from where, and by which interface it came in. */
  readonly from?: string;
  readonly in?: string;
}

export interface RouteAnswer {
  readonly lookup: Lookup;
  /** The next hop; null where the address is on the link, or where there is no route. */
  readonly via: string | null;
  readonly interface: string | null;
  /** unicast, local, blackhole, unreachable, prohibit …; null where there is none. */
  readonly type: string | null;
  /** What the kernel said instead: `Network is unreachable`. */
  readonly refusal: string | null;
}

export interface InterfaceView {
  readonly name: string;
  readonly mac: string;
  readonly up: boolean;
  readonly carrier: boolean;
  /** Whether it speaks ARP and neighbour discovery. */
  readonly arp: boolean;
  readonly mtu: number;
  readonly addresses: readonly InterfaceAddress[];
  /** Addresses that duplicate address detection found to be in use elsewhere. */
  readonly duplicates: readonly string[];
}

export interface NeighborView {
  readonly address: string;
  readonly interface: string;
  readonly mac: string | null;
  readonly state: string;
}

export interface TableRoute {
  /** `default` or a prefix. */
  readonly to: string;
  readonly via: string | null;
  readonly interface: string | null;
  /** blackhole, unreachable, prohibit, throw; unicast for most. */
  readonly type: string;
}

export interface GuestView {
  readonly guest: string;
  readonly interfaces: readonly InterfaceView[];
  readonly neighbors: readonly NeighborView[];
  readonly routes: readonly TableRoute[];
  readonly lookups: readonly RouteAnswer[];
  /** By path below /proc/sys. */
  readonly sysctl: ReadonlyMap<string, string>;
  readonly dropRules: readonly DropRule[];
  /** Local addresses and ports that are listened on: `0.0.0.0:80`. */
  readonly listening: { readonly tcp: readonly string[]; readonly udp: readonly string[] };
}

const SYSCTL = [
  "net/ipv4/ip_forward",
  "net/ipv4/icmp_echo_ignore_all",
  "net/ipv4/conf/*/forwarding",
  "net/ipv4/conf/*/rp_filter",
  "net/ipv4/conf/*/arp_ignore",
  "net/ipv6/icmp/echo_ignore_all",
  "net/ipv6/conf/*/forwarding",
  "net/ipv6/conf/*/disable_ipv6",
];

const MARK = "@@uml-lab";

/** Addresses and interface names come from the fabric and from the kernel; nothing else gets in. */
const quote = (word: string): string => `'${word.replaceAll("'", "")}'`;

export function viewScript(lookups: readonly Lookup[]): string {
  const section = (name: string, command: string) =>
    `echo; echo ${MARK} ${name}; ${command} 2>&1; echo; echo ${MARK} status $?`;
  const has = (program: string) => `command -v ${program} >/dev/null 2>&1 &&`;
  return [
    section("address", "ip -j address"),
    section("neighbor", "ip -j neighbor"),
    section("route4", "ip -j -4 route"),
    section("route6", "ip -j -6 route"),
    ...lookups.map(({ to, from, in: by }, index) => {
      const by6 = to.includes(":") ? "-6" : "-4";
      const transit =
        from === undefined || by === undefined ? "" : ` from ${quote(from)} iif ${quote(by)}`;
      return section(`get${index}`, `ip -j ${by6} route get ${quote(to)}${transit}`);
    }),
    section("sysctl", `cd /proc/sys; grep -H . ${SYSCTL.join(" ")}`),
    `if ${has("tc")} tc qdisc show 2>/dev/null | grep -q -e clsact -e ingress; then`,
    "for d in /sys/class/net/*; do d=$" + "{d##*/}; for w in ingress egress; do",
    section('tc "$d" $w', 'tc -s -j filter show dev "$d" $w'),
    "done; done; fi",
    `if ${has("nft")} [ -z "$(nft list tables 2>&1 | grep -v ^table)" ]; then`,
    section("nft", "nft -j list ruleset"),
    "fi",
    "if [ -s /proc/net/ip_tables_names ]; then",
    section("iptables", "iptables-save -c"),
    "fi",
    "if [ -s /proc/net/ip6_tables_names ]; then",
    section("ip6tables", "ip6tables-save -c"),
    "fi",
    `if ${has("ss")} true; then`,
    section("tcp", "ss -Hltn"),
    section("udp", "ss -Hlun"),
    "fi",
  ].join("\n");
}

/** Only addresses: for guests that are asked whether they have one that they should not have. */
export const ADDRESS_SCRIPT = `echo ${MARK} address; ip -j address`;

interface Section {
  readonly name: string;
  readonly text: string;
  status: number;
}

export function parseView(guest: string, output: string, lookups: readonly Lookup[]): GuestView {
  const sections = sectionsOf(output);
  const find = (name: string) => sections.find((one) => one.name === name);
  const rules: DropRule[] = [];
  for (const { name, text } of sections) {
    const [kind, device, way] = name.split(" ");
    if (kind === "tc") rules.push(...parseTrafficControl(jsonOf(text), device ?? "", way ?? ""));
    else if (kind === "nft") rules.push(...parseNftables(jsonOf(text)));
    else if (kind === "iptables" || kind === "ip6tables") rules.push(...parseIptables(kind, text));
  }
  return {
    guest,
    interfaces: listOf(jsonOf(find("address")?.text)).map(interfaceOf),
    neighbors: listOf(jsonOf(find("neighbor")?.text)).map((one) => ({
      address: String(one.dst),
      interface: String(one.dev),
      mac: typeof one.lladdr === "string" ? one.lladdr : null,
      state: listOf(one.state).join(" "),
    })),
    routes: [find("route4"), find("route6")].flatMap((section) =>
      listOf(jsonOf(section?.text)).map((one) => ({
        to: String(one.dst),
        via: viaOf(one),
        interface: typeof one.dev === "string" ? one.dev : null,
        type: typeof one.type === "string" ? one.type : "unicast",
      })),
    ),
    lookups: lookups.flatMap((lookup, index) => {
      const section = find(`get${index}`);
      return section === undefined ? [] : [routeAnswer(lookup, section)];
    }),
    sysctl: new Map(
      (find("sysctl")?.text ?? "").split("\n").flatMap((line) => {
        const colon = line.indexOf(":");
        return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const];
      }),
    ),
    dropRules: rules,
    listening: { tcp: socketsOf(find("tcp")?.text), udp: socketsOf(find("udp")?.text) },
  };
}

function sectionsOf(output: string): Section[] {
  const sections: Section[] = [];
  let lines: string[] = [];
  let name: string | undefined;
  const end = () => {
    if (name !== undefined) sections.push({ name, text: lines.join("\n").trim(), status: 0 });
    name = undefined;
  };
  for (const line of output.split("\n")) {
    if (!line.startsWith(`${MARK} `)) {
      lines.push(line);
      continue;
    }
    end();
    const word = line.slice(MARK.length + 1);
    const last = sections.at(-1);
    if (word.startsWith("status ")) {
      if (last !== undefined) last.status = Number(word.slice(7));
    } else name = word;
    lines = [];
  }
  end();
  return sections;
}

// biome-ignore lint/suspicious/noExplicitAny: the output of other people's programs
type Loose = any;

function jsonOf(text: string | undefined): Loose {
  if (text === undefined) return undefined;
  const start = text.search(/[[{]/);
  if (start < 0) return undefined;
  try {
    return JSON.parse(text.slice(start));
  } catch {
    return undefined;
  }
}

const listOf = (value: Loose): Loose[] => (Array.isArray(value) ? value : []);

function interfaceOf(one: Loose): InterfaceView {
  const flags = listOf(one.flags);
  const addresses = listOf(one.addr_info);
  return {
    // `eth0.10@eth0` is called eth0.10
    name: String(one.ifname),
    mac: String(one.address ?? ""),
    up: flags.includes("UP"),
    carrier: flags.includes("LOWER_UP"),
    arp: !flags.includes("NOARP"),
    mtu: Number(one.mtu),
    addresses: addresses.flatMap((address) => {
      const parsed = parseInterfaceAddress(`${address.local}/${address.prefixlen}`);
      return parsed === undefined ? [] : [parsed];
    }),
    duplicates: addresses.flatMap((address) =>
      address.dadfailed === true ? [String(address.local)] : [],
    ),
  };
}

function viaOf(one: Loose): string | null {
  if (typeof one.gateway === "string") return one.gateway;
  return typeof one.via?.host === "string" ? one.via.host : null;
}

function routeAnswer(lookup: Lookup, { text, status }: Section): RouteAnswer {
  const [one] = listOf(jsonOf(text));
  const nothing = { lookup, via: null, interface: null, type: null };
  if (one === undefined) {
    const said = /(?:RTNETLINK answers|Error): (.*)/.exec(text)?.[1];
    return {
      ...nothing,
      refusal: said ?? (status === 0 ? "no answer" : (text.split("\n")[0] ?? "")),
    };
  }
  return {
    lookup,
    via: viaOf(one),
    interface: typeof one.dev === "string" ? one.dev : null,
    type: typeof one.type === "string" ? one.type : "unicast",
    refusal: null,
  };
}

/** ss(8): `LISTEN 0 1 0.0.0.0:80 0.0.0.0:*` */
function socketsOf(text: string | undefined): string[] {
  return (text ?? "").split("\n").flatMap((line) => {
    const local = line.trim().split(/\s+/)[3];
    return local?.includes(":") === true ? [local] : [];
  });
}

// ------------------------------------------------------------------ questions to a view

export const addressesOf = (view: GuestView, family: Family): InterfaceAddress[] =>
  view.interfaces
    .filter(({ name }) => name !== "lo")
    .flatMap(({ addresses }) => addresses)
    .filter(({ address }) => address.family === family && !isLinkLocal(address));

function isLinkLocal({ family, value }: InterfaceAddress["address"]): boolean {
  return family === 6 && value >> 118n === 0b1111111010n;
}

export const interfaceView = (view: GuestView, name: string): InterfaceView | undefined =>
  view.interfaces.find((one) => one.name === name);

/** The interface that has an address (without its prefix length), and the address with it. */
export function holderOf(
  view: GuestView,
  text: string,
): { readonly interface: InterfaceView; readonly address: InterfaceAddress } | undefined {
  for (const one of view.interfaces) {
    const address = one.addresses.find((own) => formatInterfaceAddress(own).startsWith(`${text}/`));
    if (address !== undefined) return { interface: one, address };
  }
  return undefined;
}

export function lookupOf(view: GuestView, lookup: Lookup): RouteAnswer | undefined {
  return view.lookups.find(
    (one) =>
      one.lookup.to === lookup.to && one.lookup.from === lookup.from && one.lookup.in === lookup.in,
  );
}

const FORBIDDING = ["blackhole", "unreachable", "prohibit", "throw"];

/** The type of the route for an address that lets nothing through, where it has such a one. */
export function forbiddingRoute(view: GuestView, text: string): string | undefined {
  const address = parseIp(text);
  if (address === undefined) return undefined;
  const { family } = address;
  const longest = family === 4 ? 32 : 128;
  const matching = view.routes.flatMap(({ to, type }) => {
    const prefix = to === "default" ? (family === 4 ? "0.0.0.0/0" : "::/0") : to;
    const parsed = parseInterfaceAddress(prefix.includes("/") ? prefix : `${prefix}/${longest}`);
    const isIt = parsed?.address.family === family && contains(networkOf(parsed), address);
    return isIt ? [{ type, length: parsed.prefixLength }] : [];
  });
  const best = matching.sort((a, b) => b.length - a.length)[0];
  return best !== undefined && FORBIDDING.includes(best.type) ? best.type : undefined;
}

export const forwards = (view: GuestView, family: Family): boolean =>
  view.sysctl.get(family === 4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding") !== "0";

/** Whether a look-up for a packet on its way in failed by the reverse-path filter of its interface. */
export function failsReversePath(view: GuestView, answer: RouteAnswer | undefined): boolean {
  // older kernels say EXDEV, newer ones EINVAL, which has other causes too
  if (answer?.refusal === "Invalid cross-device link") return true;
  if (answer?.refusal !== "Invalid argument") return false;
  return ["all", answer.lookup.in].some(
    (name) => Number(view.sysctl.get(`net/ipv4/conf/${name}/rp_filter`) ?? 0) > 0,
  );
}
