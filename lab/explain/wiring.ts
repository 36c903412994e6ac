/** What the plan says of who is where: ends of links, owners of addresses, what hangs on one wire. */

import {
  contains,
  type Family,
  type InterfaceAddress,
  type IpAddress,
  networkOf,
  parseInterfaceAddress,
  parseIp,
} from "../../base/addresses.ts";
import { endName, type LinkSpec } from "../../net/control/messages.ts";
import type { GuestPlan, LabPlan } from "../plan/plan.ts";

/** A guest's interface by its names. */
export interface Port {
  readonly guest: string;
  readonly interface: string;
}

export interface PlannedAddress extends Port {
  /** `10.0.1.10` */
  readonly text: string;
  readonly address: InterfaceAddress;
}

export function portOf(nic: string): Port {
  const colon = nic.indexOf(":");
  return { guest: nic.slice(0, colon), interface: nic.slice(colon + 1) };
}

export class Wiring {
  readonly guests: ReadonlyMap<string, GuestPlan>;
  readonly addresses: readonly PlannedAddress[];
  readonly #links = new Map<string, LinkSpec>();
  readonly #macs = new Map<string, Port>();
  /** The links at each place: `alice:eth0`, `lan1`. */
  readonly #at = new Map<string, LinkSpec[]>();

  constructor(plan: LabPlan) {
    this.guests = new Map(plan.guests.map((guest) => [guest.name, guest]));
    this.addresses = plan.guests.flatMap(({ name, setup }) =>
      setup.interfaces.flatMap((one) =>
        one.addresses.flatMap((written) => {
          const address = parseInterfaceAddress(written);
          if (address === undefined) return [];
          const text = written.slice(0, written.indexOf("/"));
          return [{ guest: name, interface: one.name, text, address }];
        }),
      ),
    );
    for (const guest of plan.guests) {
      for (const { name, mac } of guest.setup.interfaces) {
        this.#macs.set(mac, { guest: guest.name, interface: name });
      }
    }
    for (const link of plan.links) {
      this.#links.set(link.link, link);
      for (const end of link.ends) {
        const name = endName(end);
        this.#at.set(name, [...(this.#at.get(name) ?? []), link]);
      }
    }
  }

  link(name: string): LinkSpec | undefined {
    return this.#links.get(name);
  }

  get links(): Iterable<LinkSpec> {
    return this.#links.values();
  }

  byMac(mac: string): Port | undefined {
    return this.#macs.get(mac);
  }

  owner(address: string): PlannedAddress | undefined {
    return this.addresses.find(({ text }) => text === address);
  }

  addressesOf(guest: string, family?: Family): PlannedAddress[] {
    return this.addresses.filter(
      (one) =>
        one.guest === guest &&
        (family ?? one.address.address.family) === one.address.address.family,
    );
  }

  linksAt(place: string): readonly LinkSpec[] {
    return this.#at.get(place) ?? [];
  }

  linkOf({ guest, interface: name }: Port): LinkSpec | undefined {
    return this.linksAt(`${guest}:${name}`)[0];
  }

  /** Every interface that shares a wire with this one, itself left out; VLANs are not looked at. */
  onWire(port: Port): Port[] {
    const start = `${port.guest}:${port.interface}`;
    const seen = new Set([start]);
    const queue = [start];
    const found: Port[] = [];
    for (const place of queue) {
      for (const link of this.linksAt(place)) {
        for (const end of link.ends) {
          const name = endName(end);
          if (seen.has(name)) continue;
          seen.add(name);
          if (end.kind === "nic") found.push(portOf(name));
          else queue.push(name);
        }
      }
    }
    return found;
  }

  /** Guests on this interface's wire that forward, with the address they have there. */
  routersOn(port: Port, family: Family): PlannedAddress[] {
    return this.onWire(port).flatMap((other) =>
      this.guests.get(other.guest)?.forward === true
        ? this.addressesOf(other.guest, family).filter((one) => one.interface === other.interface)
        : [],
    );
  }

  /** The interface of a guest that the plan means for what goes to an address. */
  plannedWay(guest: string, to: IpAddress): Port | undefined {
    const direct = this.addressesOf(guest, to.family).find(({ address }) =>
      contains(networkOf(address), to),
    );
    if (direct !== undefined) return direct;
    const routes = (this.guests.get(guest)?.setup.routes ?? []).flatMap((route) => {
      const via = parseIp(route.via);
      if (via === undefined || via.family !== to.family) return [];
      const prefix = route.to === "default" ? undefined : parseInterfaceAddress(route.to);
      if (prefix !== undefined && !contains(prefix, to)) return [];
      return [{ via, length: prefix?.prefixLength ?? 0 }];
    });
    const best = routes.sort((a, b) => b.length - a.length)[0];
    return (
      best &&
      this.addressesOf(guest, to.family).find(({ address }) =>
        contains(networkOf(address), best.via),
      )
    );
  }
}
