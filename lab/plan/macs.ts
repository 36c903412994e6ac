/** A MAC address for each interface: from the seed and the interface's name, unique in the lab. */

import { formatMac } from "../../base/addresses.ts";
import { Random } from "../../base/random.ts";
import type { Topology } from "../topology/topology.ts";
import { hasOutlet, OUTLET_INTERFACE } from "./outlets.ts";

/** @returns from `alice:eth0` to `02:…` (locally administered, unicast). */
export function macAddresses({ seed, guests }: Topology): Map<string, string> {
  const macs = new Map<string, string>();
  const taken = new Set<string>();
  for (const { interfaces } of guests) {
    for (const { mac } of interfaces) if (mac !== undefined) taken.add(mac);
  }
  for (const guest of guests) {
    const outlet = hasOutlet(guest) ? [{ name: OUTLET_INTERFACE, mac: undefined }] : [];
    for (const { name, mac } of [...guest.interfaces, ...outlet]) {
      const nic = `${guest.name}:${name}`;
      // A stream of its own: a guest that is added does not change the others' addresses.
      const random = new Random(seed, `mac:${nic}`);
      let chosen = mac;
      while (chosen === undefined) {
        const bytes = Uint8Array.from({ length: 6 }, (_, i) => (i === 0 ? 2 : random.below(256)));
        const candidate = formatMac(bytes);
        if (!taken.has(candidate)) chosen = candidate;
      }
      taken.add(chosen);
      macs.set(nic, chosen);
    }
  }
  return macs;
}
