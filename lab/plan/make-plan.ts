/**
 * From a checked topology to the plan of a lab: MAC addresses, host tables, routes, links with
 * their seeds, and the pairs that are probed. Pure: the same topology gives the same plan.
 */

import { formatInterfaceAddress, formatIp } from "../../base/addresses.ts";
import { Random } from "../../base/random.ts";
import type { GuestFile, GuestService } from "../../kernel/guest/spec.ts";
import type { LinkEnd, LinkSpec } from "../../net/control/messages.ts";
import type { Topology, TopologyEnd, TopologyGuest, TopologySwitch } from "../topology/topology.ts";
import { birdFiles, birdService } from "./bird.ts";
import { eventPlans } from "./events.ts";
import { expectPlan } from "./expectations.ts";
import { frrFiles, frrService } from "./frr.ts";
import { hostTables } from "./hosts.ts";
import { macAddresses } from "./macs.ts";
import { OUTLET_INTERFACE, planOutlet } from "./outlets.ts";
import type { GuestPlan, LabPlan } from "./plan.ts";
import { staticRoutes } from "./static-routes.ts";

/**
 * Up to so many guests, pairs that nothing is said of are measured as well: 2 450 pairs. A hundred
 * guests have 9 900, five hundred 249 500.
 */
const MOST_MEASURED_GUESTS = 50;

export function makePlan(topology: Topology): LabPlan {
  const macs = macAddresses(topology);
  const hosts = hostTables(topology);
  const routes = topology.routing === "static" ? staticRoutes(topology) : new Map();
  return {
    name: topology.name,
    description: topology.description,
    file: topology.file,
    seed: topology.seed,
    clock: topology.clock,
    allowLoops: topology.allowLoops,
    guests: topology.guests.map((guest): GuestPlan => {
      const all = [...guest.routes, ...(routes.get(guest.name) ?? [])].map(({ to, via }) => ({
        to: to.prefixLength === 0 ? "default" : formatInterfaceAddress(to),
        via: formatIp(via),
      }));
      const outletMac = macs.get(`${guest.name}:${OUTLET_INTERFACE}`);
      return {
        name: guest.name,
        image: guest.image,
        kernel: guest.kernel,
        memoryBytes: guest.memoryBytes,
        diskBytes: guest.diskBytes,
        isolation: guest.isolation,
        forward: guest.forward,
        outlet: outletMac === undefined ? null : planOutlet(topology, guest, all, outletMac),
        setup: {
          hostname: guest.name,
          hosts: hosts.get(guest.name) ?? [],
          sysctl: { ...(guest.forward ? FORWARD : {}), ...guest.sysctl },
          interfaces: guest.interfaces.map(({ name, addresses, mtu }) => ({
            name,
            mac: macs.get(`${guest.name}:${name}`) as string,
            mtu,
            addresses: addresses.map(formatInterfaceAddress),
          })),
          routes: all,
          files: [...daemonFiles(guest), ...guest.files],
          env: guest.env,
          services: daemonsOf(guest),
          startsImage: guest.service,
          run: guest.run,
        },
      };
    }),
    switches: topology.switches.map(({ name, hub, ageingMs }) => ({ switch: name, hub, ageingMs })),
    links: [
      ...topology.links.map(
        ({ name, ends, up, impairments }): LinkSpec => ({
          link: name,
          ends: [planEnd(ends[0]), planEnd(ends[1])],
          up,
          impairments,
          seed: seedOf(topology, name),
        }),
      ),
      ...topology.switches.flatMap((one) => tapLink(topology, one)),
    ],
    ...expectPlan(topology.guests, topology, {
      everyPair: topology.guests.length <= MOST_MEASURED_GUESTS,
    }),
    events: eventPlans(topology),
  };
}

/** The file's own `files` come later, and win. */
function daemonFiles({ frr, bird }: TopologyGuest): GuestFile[] {
  return [
    ...(frr === undefined ? [] : frrFiles(frr)),
    ...(bird === undefined ? [] : birdFiles(bird)),
  ];
}

function daemonsOf({ frr, bird }: TopologyGuest): GuestService[] {
  return [
    ...(frr === undefined ? [] : [frrService(frr)]),
    ...(bird === undefined ? [] : [birdService]),
  ];
}

const FORWARD: TopologyGuest["sysctl"] = {
  "net.ipv4.ip_forward": "1",
  "net.ipv6.conf.all.forwarding": "1",
};

const seedOf = ({ seed }: Topology, link: string): number =>
  new Random(seed, `link:${link}`).uint32();

/** The cable to a TAP of the host is one like others. */
function tapLink(topology: Topology, { name, tap }: TopologySwitch): LinkSpec[] {
  if (tap === undefined) return [];
  const { link, device } = tap;
  return [
    {
      link,
      ends: [
        { kind: "switch", switch: name },
        { kind: "tap", tap: link, device },
      ],
      up: true,
      impairments: [{}, {}],
      seed: seedOf(topology, link),
    },
  ];
}

function planEnd(end: TopologyEnd): LinkEnd {
  if (end.kind === "guest") return { kind: "nic", nic: `${end.guest}:${end.interface}` };
  return {
    kind: "switch",
    switch: end.switch,
    ...(end.vlan === undefined ? {} : { vlan: end.vlan }),
    ...(end.trunk === undefined ? {} : { trunk: end.trunk }),
  };
}
