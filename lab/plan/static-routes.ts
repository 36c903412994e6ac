/**
 * `routing: static`: shortest paths (in routers crossed) to every subnet, for each family.
 *
 * Guests that forward are the nodes; two are neighbours where both have an address of one subnet
 * on one wire. From each subnet a breadth-first search finds how far every router is; a router
 * sends by the first of its neighbours, in the order of its interfaces and then of the file, that
 * is one step nearer. A guest that does not forward gets a default route to the router on its
 * wires from which most subnets can be reached.
 */

import {
  contains,
  type Family,
  formatInterfaceAddress,
  type InterfaceAddress,
  type IpAddress,
  networkOf,
} from "../../base/addresses.ts";
import { segmentsOf, transparentSwitches } from "../topology/segments.ts";
import type { Topology, TopologyGuest, TopologyRoute } from "../topology/topology.ts";

interface Attachment {
  readonly guest: TopologyGuest;
  readonly address: InterfaceAddress;
  /** Subnet on a wire: `SEGMENT 10.0.1.0/24`. */
  readonly place: string;
}

interface Hop {
  readonly to: TopologyGuest;
  readonly via: IpAddress;
}

/** @returns the routes to add to each guest, beside those that the file gives. */
export function staticRoutes(topology: Topology): Map<string, TopologyRoute[]> {
  const routes = new Map<string, TopologyRoute[]>();
  for (const guest of topology.guests) routes.set(guest.name, []);
  const { links, switches } = topology;
  const segment = segmentsOf(links, transparentSwitches(links, switches));
  for (const family of [4, 6] as const) addFamily(topology, family, segment, routes);
  return routes;
}

function addFamily(
  topology: Topology,
  family: Family,
  segment: (place: string) => string,
  routes: Map<string, TopologyRoute[]>,
): void {
  const attachments = new Map<TopologyGuest, Attachment[]>();
  const places = new Map<string, Attachment[]>();
  const subnets = new Map<string, InterfaceAddress>();
  for (const guest of topology.guests) {
    const own: Attachment[] = [];
    for (const { name, addresses } of guest.interfaces) {
      for (const address of addresses) {
        if (address.address.family !== family) continue;
        const network = networkOf(address);
        const subnet = formatInterfaceAddress(network);
        subnets.set(subnet, network);
        const attachment = {
          guest,
          address,
          place: `${segment(`${guest.name}:${name}`)} ${subnet}`,
        };
        own.push(attachment);
        places.set(attachment.place, [...(places.get(attachment.place) ?? []), attachment]);
      }
    }
    attachments.set(guest, own);
  }
  const hopsOf = (guest: TopologyGuest): Hop[] =>
    (attachments.get(guest) ?? []).flatMap(({ place }) =>
      (places.get(place) ?? [])
        .filter((other) => other.guest !== guest && other.guest.forward)
        .map((other) => ({ to: other.guest, via: other.address.address })),
    );
  const hops = new Map(topology.guests.map((guest) => [guest, hopsOf(guest)]));
  const routers = topology.guests.filter(({ forward }) => forward);
  const reached = new Map<TopologyGuest, number>(routers.map((router) => [router, 0]));

  for (const [subnet, network] of subnets) {
    const near = routers.filter((router) =>
      (attachments.get(router) ?? []).some(({ place }) => place.endsWith(` ${subnet}`)),
    );
    const distance = distances(near, hops);
    for (const router of routers) {
      const far = distance.get(router);
      if (far === undefined) continue;
      reached.set(router, (reached.get(router) ?? 0) + 1);
      if (far === 0 || says(router, network)) continue;
      const next = hops.get(router)?.find(({ to }) => distance.get(to) === far - 1);
      if (next !== undefined) routes.get(router.name)?.push({ to: network, via: next.via });
    }
  }
  for (const guest of topology.guests) {
    const any = { address: { family, value: 0n }, prefixLength: 0 };
    if (guest.forward || says(guest, any)) continue;
    let best: Hop | undefined;
    for (const hop of hops.get(guest) ?? []) {
      if (best === undefined || (reached.get(hop.to) ?? 0) > (reached.get(best.to) ?? 0))
        best = hop;
    }
    if (best !== undefined) routes.get(guest.name)?.push({ to: any, via: best.via });
  }
}

/** How many routers stand between each router and the subnet that `near` are on. */
function distances(
  near: readonly TopologyGuest[],
  hops: ReadonlyMap<TopologyGuest, readonly Hop[]>,
): Map<TopologyGuest, number> {
  const distance = new Map<TopologyGuest, number>(near.map((router) => [router, 0]));
  const queue = [...near];
  for (const router of queue) {
    for (const { to } of hops.get(router) ?? []) {
      if (distance.has(to)) continue;
      distance.set(to, (distance.get(router) as number) + 1);
      queue.push(to);
    }
  }
  return distance;
}

/** The file gives the guest this very route: then it is the file's business. */
function says(guest: TopologyGuest, network: InterfaceAddress): boolean {
  return guest.routes.some(
    ({ to }) =>
      to.prefixLength === network.prefixLength &&
      to.address.family === network.address.family &&
      contains(network, to.address),
  );
}
