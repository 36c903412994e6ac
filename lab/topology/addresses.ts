/** Automatic addresses, clashes, gateways and routes: what holds between guests. */

import {
  bitsOf,
  contains,
  type Family,
  formatInterfaceAddress,
  formatIp,
  type InterfaceAddress,
  type IpAddress,
  networkOf,
  parseInterfaceAddress,
} from "../../base/addresses.ts";
import type { GuestDraft, InterfaceDraft } from "./guests.ts";
import type { LinkDraft } from "./links.ts";
import type { Names } from "./names.ts";
import type { Reading } from "./reading.ts";
import { segmentsOf } from "./segments.ts";
import type { Span } from "./source.ts";
import type { TopologyRoute } from "./topology.ts";

type Guests = ReadonlyMap<string, GuestDraft>;

const keyOf = ({ family, value }: IpAddress): string => `${family}:${value}`;

function* interfacesOf(guests: Guests): Generator<[GuestDraft, InterfaceDraft]> {
  for (const guest of guests.values()) {
    const sorted = [...guest.interfaces.values()].sort((a, b) => a.index - b.index);
    for (const item of sorted) yield [guest, item];
  }
}

/** Gives the next free address of a subnet; skips those taken, the subnet's own and broadcast. */
class Pool {
  readonly #taken: Set<string>;
  readonly #subnet: InterfaceAddress;
  #next: bigint;
  readonly #last: bigint;

  constructor(subnet: InterfaceAddress, taken: Set<string>) {
    this.#subnet = subnet;
    this.#taken = taken;
    const { family, value } = subnet.address;
    const hostBits = BigInt(bitsOf(family) - subnet.prefixLength);
    const top = value + (1n << hostBits) - 1n;
    // RFC 3021 and RFC 6164: a subnet of two uses both; one of one, that one.
    this.#next = hostBits < 2n ? value : value + 1n;
    this.#last = hostBits < 2n || family === 6 ? top : top - 1n;
  }

  /** This one, where it is of the subnet and free. */
  takeGiven(text: string): InterfaceAddress | undefined {
    const given = parseInterfaceAddress(text);
    if (given?.prefixLength !== this.#subnet.prefixLength) return undefined;
    if (!contains(this.#subnet, given.address)) return undefined;
    const key = keyOf(given.address);
    if (this.#taken.has(key)) return undefined;
    this.#taken.add(key);
    return given;
  }

  take(): InterfaceAddress | undefined {
    const { family } = this.#subnet.address;
    for (; this.#next <= this.#last; this.#next++) {
      const address = { family, value: this.#next };
      if (this.#taken.has(keyOf(address))) continue;
      this.#taken.add(keyOf(address));
      return { address, prefixLength: this.#subnet.prefixLength };
    }
    return undefined;
  }
}

/** By interface (`alice:eth0`): addresses (`10.0.1.1/24`) that a running lab gave it. */
export type GivenAddresses = ReadonlyMap<string, readonly string[]>;
export const NONE_GIVEN: GivenAddresses = new Map();

/**
 * Ends without an address take the next one of their switch's or link's subnet; before that, those
 * that had one of it keep theirs.
 */
export function giveAddresses(
  reading: Reading,
  names: Names,
  guests: Guests,
  links: readonly LinkDraft[],
  given: GivenAddresses,
): void {
  const taken = new Set<string>();
  for (const [, { addresses }] of interfacesOf(guests)) {
    for (const { value } of addresses) taken.add(keyOf(value.address));
  }
  const pools = new Map<string, { pool: Pool; family: Family; text: string }[]>();
  const subnetPools = new Map<string, Pool>();
  const poolOf = (subnet: InterfaceAddress) => {
    const text = formatInterfaceAddress(subnet);
    let pool = subnetPools.get(text);
    if (pool === undefined) {
      pool = new Pool(subnet, taken);
      subnetPools.set(text, pool);
    }
    return { pool, family: subnet.address.family, text };
  };
  const broken = new Set<string>();
  for (const { name, body } of names.switches) {
    for (const key of ["subnet", "subnet6"]) {
      const node = body?.entries.get(key)?.value;
      if (node !== undefined && reading.isBad(node)) broken.add(name);
      const subnet = parseInterfaceAddress(reading.text(body, key) ?? "");
      if (subnet === undefined) continue;
      pools.set(name, [...(pools.get(name) ?? []), poolOf(subnet)]);
    }
  }
  const wanting = links.flatMap((link) =>
    link.ends.flatMap((end, i): Wanting[] => {
      const other = link.ends[1 - i];
      if (end.kind !== "guest" || other === undefined) return [];
      if (other.kind === "switch" && broken.has(other.switch)) reading.incomplete.add(end.guest);
      const from =
        other.kind === "switch"
          ? (pools.get(other.switch) ?? [])
          : link.subnets.map(({ subnet }) => poolOf(subnet));
      const item = guests.get(end.guest)?.interfaces.get(end.interface);
      if (item === undefined) return [];
      const has = new Set(item.addresses.map(({ value }) => value.address.family));
      const { guest } = end;
      const at = link.places[i] as Span;
      return from
        .filter(({ family }) => !has.has(family))
        .map(({ pool, text }) => ({ guest, item, at, pool, text }));
    }),
  );
  const others = wanting.filter(({ guest, item, at, pool }) => {
    const own = given.get(`${guest}:${item.name}`) ?? [];
    const value = firstOf(own, (text) => pool.takeGiven(text));
    if (value !== undefined) item.addresses.push({ value, at });
    return value === undefined;
  });
  for (const { guest, item, at, pool, text } of others) {
    const value = pool.take();
    if (value !== undefined) {
      item.addresses.push({ value, at });
      continue;
    }
    reading.problems.add(
      "BAD_ADDRESS",
      at,
      `no address of ${text} is left for \`${guest}:${item.name}\``,
      "make the subnet larger, or give fewer ends an address of it",
    );
    reading.incomplete.add(guest);
  }
}

/** An interface that is to have an address of a subnet. */
interface Wanting {
  readonly guest: string;
  readonly item: InterfaceDraft;
  readonly at: Span;
  readonly pool: Pool;
  /** The subnet. */
  readonly text: string;
}

function firstOf<T, R>(items: readonly T[], find: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** RFC 8200 §5: below, the kernel turns IPv6 off. */
const IPV6_MTU = 1280;

/** The same address twice, MAC addresses twice, one subnet with two prefix lengths. */
export function checkClashes(
  reading: Reading,
  guests: Guests,
  links: readonly LinkDraft[],
  transparent: ReadonlySet<string>,
): void {
  const lineOf = (at: Span) => reading.source.position(at.start).line;
  const owners = new Map<string, { readonly who: string; readonly at: Span }>();
  const macs = new Map<string, { readonly who: string; readonly at: Span }>();
  const segment = segmentsOf(links, transparent, { pulled: true });
  const subnets = new Map<string, { network: InterfaceAddress; who: string; at: Span }[]>();
  for (const [guest, item] of inFileOrder(guests)) {
    const who = `${guest.name}:${item.name}`;
    if (item.mac !== undefined) {
      const owner = macs.get(item.mac.text);
      if (owner === undefined) macs.set(item.mac.text, { who, at: item.mac.at });
      else {
        reading.problems.add(
          "ADDRESS_CLASH",
          item.mac.at,
          `\`${who}\` has the MAC address of \`${owner.who}\` (line ${lineOf(owner.at)})`,
          "give each interface its own, or leave `mac` away",
        );
      }
    }
    const mtu = item.mtu ?? item.linkMtu;
    const has6 = item.addresses.some(({ value }) => value.address.family === 6);
    if (mtu !== undefined && mtu < IPV6_MTU && has6 && item.mtuAt !== undefined) {
      reading.problems.add(
        "BAD_VALUE",
        item.mtuAt,
        `\`${who}\` has an IPv6 address, and IPv6 needs packets of ${IPV6_MTU} bytes`,
        `write ${IPV6_MTU} or more, or give it IPv4 addresses only`,
      );
    }
    for (const { value, at } of item.addresses) {
      const owner = owners.get(keyOf(value.address));
      if (owner !== undefined) {
        reading.problems.add(
          "ADDRESS_CLASH",
          at,
          owner.who === who
            ? `\`${who}\` is given ${formatIp(value.address)} twice: first in line ${lineOf(owner.at)}`
            : `\`${who}\` has the address ${formatIp(value.address)} of \`${owner.who}\` (line ${lineOf(owner.at)})`,
          owner.who === who
            ? "say it in one place"
            : "give each its own address, or let a `subnet` number them",
        );
        continue;
      }
      owners.set(keyOf(value.address), { who, at });
      const network = networkOf(value);
      const domain = segment(who);
      const others = subnets.get(domain) ?? [];
      const overlapping = others.find(
        (other) =>
          other.network.prefixLength !== network.prefixLength &&
          (contains(other.network, network.address) || contains(network, other.network.address)),
      );
      if (overlapping !== undefined) {
        reading.problems.add(
          "ADDRESS_CLASH",
          at,
          `\`${who}\` has /${network.prefixLength} where \`${overlapping.who}\` on the same wire has /${overlapping.network.prefixLength} (line ${lineOf(overlapping.at)})`,
          "interfaces of one subnet have the same prefix length",
        );
        continue;
      }
      if (
        !others.some(
          (other) => formatInterfaceAddress(other.network) === formatInterfaceAddress(network),
        )
      ) {
        subnets.set(domain, [...others, { network, who, at }]);
      }
    }
  }
}

/** Interfaces, those first whose addresses stand first in the file: the later is the clash. */
function inFileOrder(guests: Guests): [GuestDraft, InterfaceDraft][] {
  const place = (item: InterfaceDraft) => item.addresses[0]?.at.start ?? item.mac?.at.start ?? 0;
  return [...interfacesOf(guests)].sort(([, a], [, b]) => place(a) - place(b));
}

/** The routes that the file gives each guest; gateways of its switches where it has none itself. */
export function readRoutes(
  reading: Reading,
  names: Names,
  guests: Guests,
  links: readonly LinkDraft[],
): Map<string, TopologyRoute[]> {
  const routes = new Map<string, TopologyRoute[]>();
  for (const guest of guests.values()) {
    const own: TopologyRoute[] = [];
    for (const { via, at, fromDefaults } of guest.gateways) {
      // A gateway for all in `defaults` is not meant for the gateway itself.
      if (fromDefaults && hasAddress(guest, via)) continue;
      checkVia(reading, guests, guest, via, at, "gateway");
      own.push(defaultRoute(via));
    }
    for (const { to, via, at } of guest.routes) {
      checkVia(reading, guests, guest, via, at, "gateway of this route");
      if (to.prefixLength === 0 && hasDefault(own, via.family)) {
        reading.problems.add(
          "BAD_VALUE",
          at,
          `\`${guest.name}\` has two IPv${via.family} default routes`,
          "keep `gateway` or this route",
        );
        continue;
      }
      own.push({ to, via });
    }
    routes.set(guest.name, own);
  }
  for (const { name, body } of names.switches)
    addSwitchGateway(reading, names, guests, links, routes, name, body);
  return routes;
}

const defaultRoute = (via: IpAddress): TopologyRoute => ({
  to: { address: { family: via.family, value: 0n }, prefixLength: 0 },
  via,
});

const hasDefault = (routes: readonly TopologyRoute[], family: Family): boolean =>
  routes.some(({ to }) => to.prefixLength === 0 && to.address.family === family);

const addressesOf = (guest: GuestDraft): InterfaceAddress[] =>
  [...guest.interfaces.values()].flatMap(({ addresses }) => addresses.map(({ value }) => value));

const hasAddress = (guest: GuestDraft, address: IpAddress): boolean =>
  addressesOf(guest).some(({ address: own }) => keyOf(own) === keyOf(address));

function checkVia(
  reading: Reading,
  guests: Guests,
  guest: GuestDraft,
  via: IpAddress,
  at: Span,
  what: string,
) {
  if (reading.incomplete.has(guest.name)) return;
  const text = formatIp(via);
  if (hasAddress(guest, via)) {
    reading.problems.add(
      "BAD_ADDRESS",
      at,
      `the ${what} of \`${guest.name}\` is its own address ${text}`,
      "name the address of the router on its subnet",
    );
    return;
  }
  const own = addressesOf(guest).filter(({ address }) => address.family === via.family);
  if (own.some((address) => contains(networkOf(address), via))) return;
  const routers = [...guests.values()]
    .filter((other) => other.forward && other !== guest)
    .flatMap((other) =>
      addressesOf(other)
        .filter(({ address }) => own.some((mine) => contains(networkOf(mine), address)))
        .map(({ address }) => `${formatIp(address)} (\`${other.name}\`)`),
    );
  const subnets = [...new Set(own.map((address) => formatInterfaceAddress(networkOf(address))))];
  reading.problems.add(
    "BAD_ADDRESS",
    at,
    own.length === 0
      ? `the ${what} ${text} is out of reach: \`${guest.name}\` has no IPv${via.family} address`
      : `the ${what} ${text} is on no subnet of \`${guest.name}\` (${subnets.join(", ")})`,
    own.length === 0
      ? `give it an address of ${text}'s subnet`
      : routers.length > 0
        ? `a router there is ${routers.slice(0, 3).join(", ")}`
        : "name an address on one of its subnets",
  );
}

function addSwitchGateway(
  reading: Reading,
  names: Names,
  guests: Guests,
  links: readonly LinkDraft[],
  routes: Map<string, TopologyRoute[]>,
  name: string,
  body: Parameters<Reading["scalar"]>[0],
): void {
  const node = reading.scalar(body, "gateway");
  if (node === undefined) return;
  const [gatewayName] = names.guestsOf(node.text, node);
  const gateway = guests.get(gatewayName ?? "");
  if (gateway === undefined) return;
  const onSwitch = (guest: GuestDraft): InterfaceAddress[] =>
    links.flatMap((link) => {
      const [a, b] = link.ends;
      const end = a.kind === "guest" ? a : b;
      const other = a.kind === "guest" ? b : a;
      if (end.kind !== "guest" || end.guest !== guest.name) return [];
      if (other.kind !== "switch" || other.switch !== name) return [];
      return guest.interfaces.get(end.interface)?.addresses.map(({ value }) => value) ?? [];
    });
  const gatewayAddresses = onSwitch(gateway);
  if (gatewayAddresses.length === 0) {
    if (reading.incomplete.has(gateway.name)) return;
    reading.problems.add(
      "BAD_ADDRESS",
      node,
      `\`${gateway.name}\` has no address on \`${name}\``,
      `link it to \`${name}\` and give that interface an address, or name another gateway`,
    );
    return;
  }
  for (const guest of guests.values()) {
    if (guest === gateway || guest.forward) continue;
    const own = onSwitch(guest);
    const list = routes.get(guest.name) as TopologyRoute[];
    for (const { address } of gatewayAddresses) {
      if (hasDefault(list, address.family)) continue;
      if (own.some((mine) => contains(networkOf(mine), address))) list.push(defaultRoute(address));
    }
  }
}
