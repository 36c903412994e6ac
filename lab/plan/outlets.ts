/**
 * Ways out: which guests have one, and what it adds to them — an interface called `internet` beside
 * those of the topology, an address of a subnet that the lab does not use, a name server, routes.
 *
 *     alice:internet 198.18.0.2/29 --- gateway 198.18.0.1 (passt) --- the host's sockets
 */

import {
  contains,
  formatInterfaceAddress,
  type InterfaceAddress,
  networkOf,
  parseInterfaceAddress,
} from "../../base/addresses.ts";
import type { GuestSetup } from "../../kernel/guest/spec.ts";
import type { ForwardedPort } from "../../net/passt.ts";
import type { Topology, TopologyGuest } from "../topology/topology.ts";

export const OUTLET_INTERFACE = "internet";
/** What passt takes best: the longest frames there are. */
const OUTLET_MTU = 65_520;

export interface OutletPlan {
  readonly mac: string;
  /** `198.18.0.2`, of a subnet of `prefixLength`. */
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string;
  readonly nameServer: string;
  readonly mtu: number;
  /** Whether the guest may open connections to the outside; else it only answers on its ports. */
  readonly internet: boolean;
  /** Whether the host's loopback answers at the gateway. */
  readonly host: boolean;
  readonly ports: readonly ForwardedPort[];
  /** Routes that a default route of the lab becomes, so that the default leads outside. */
  readonly routes: GuestSetup["routes"] | null;
}

/** For benchmarks (RFC 2544), for carriers (RFC 6598), for documentation (RFC 5737). */
const SUBNETS = ["198.18.0", "100.64.0", "192.0.2"];
const PREFIX_LENGTH = 29;

export const hasOutlet = ({ internet, ports }: TopologyGuest): boolean =>
  internet !== "none" || ports.length > 0;

/** @param routes all that the guest has in the lab. @param mac of the interface. */
export function planOutlet(
  topology: Topology,
  guest: TopologyGuest,
  routes: GuestSetup["routes"],
  mac: string,
): OutletPlan {
  const base = freeSubnet(topology);
  const internet = guest.internet !== "none";
  return {
    mac,
    address: `${base}.2`,
    prefixLength: PREFIX_LENGTH,
    gateway: `${base}.1`,
    nameServer: `${base}.3`,
    mtu: OUTLET_MTU,
    internet,
    host: guest.internet === "host",
    ports: guest.ports,
    routes: internet ? instead(topology, guest, routes) : null,
  };
}

/** What the guest is told once its way out is there. */
export function setupWithOutlet(setup: GuestSetup, outlet: OutletPlan | null): GuestSetup {
  if (outlet === null) return setup;
  const { mac, mtu, address, prefixLength, gateway, nameServer, internet, host } = outlet;
  const interfaces = [
    ...setup.interfaces,
    { name: OUTLET_INTERFACE, mac, mtu, addresses: [`${address}/${prefixLength}`] },
  ];
  if (!internet) return { ...setup, interfaces };
  const resolver = { path: "/etc/resolv.conf", mode: 0o644 };
  const own = setup.files.some(({ path }) => path === resolver.path);
  const named = setup.hosts.some(({ names }) => names.includes("host"));
  return {
    ...setup,
    interfaces,
    routes: [...(outlet.routes ?? []), { to: "default", via: gateway }],
    files: own
      ? setup.files
      : [{ ...resolver, content: Buffer.from(`nameserver ${nameServer}\n`) }, ...setup.files],
    hosts: host && !named ? [...setup.hosts, { address: gateway, names: ["host"] }] : setup.hosts,
  };
}

function freeSubnet({ guests }: Topology): string {
  const used = guests.flatMap(({ interfaces, routes }) => [
    ...interfaces.flatMap(({ addresses }) => addresses.map(networkOf)),
    ...routes.filter(({ to }) => to.prefixLength > 0).map(({ to }) => to),
  ]);
  const free = SUBNETS.find((base) => {
    const subnet = parseInterfaceAddress(`${base}.0/${PREFIX_LENGTH}`) as InterfaceAddress;
    return !used.some((one) => contains(one, subnet.address) || contains(subnet, one.address));
  });
  return free ?? (SUBNETS[0] as string);
}

/** The routes with the IPv4 default route replaced by one for each subnet that it was for. */
function instead(
  topology: Topology,
  guest: TopologyGuest,
  routes: GuestSetup["routes"],
): GuestSetup["routes"] {
  const own = new Set(guest.interfaces.flatMap(({ addresses }) => addresses.map(subnetText)));
  const said = new Set(routes.map(({ to }) => to));
  const subnets = new Set(
    topology.guests.flatMap(({ interfaces }) =>
      interfaces.flatMap(({ addresses }) =>
        addresses.filter(({ address }) => address.family === 4).map(subnetText),
      ),
    ),
  );
  return routes.flatMap((route) => {
    if (route.to !== "default" || route.via.includes(":")) return [route];
    return [...subnets]
      .filter((subnet) => !own.has(subnet) && !said.has(subnet))
      .map((to) => ({ to, via: route.via }));
  });
}

const subnetText = (address: InterfaceAddress): string =>
  formatInterfaceAddress(networkOf(address));

/** The address a forwarded port is opened at, for messages. */
export const hostPort = ({ protocol, host }: ForwardedPort): string =>
  `127.0.0.1:${host}${protocol === "udp" ? "/udp" : ""}`;
