/** All that a diagnosis is drawn from. */

import { type Family, formatIp, type IpAddress } from "../../base/addresses.ts";
import type { Impairment } from "../../net/control/messages.ts";
import type { ProbeKind } from "./explanation.ts";
import type { DropRule } from "./firewall.ts";
import { type GuestView, holderOf } from "./guest-view.ts";
import type { Journey } from "./journey.ts";
import type { Leg, Spot } from "./way.ts";
import type { Wiring } from "./wiring.ts";

export interface LinkState {
  readonly up: boolean;
  readonly impairments: readonly [Impairment, Impairment];
}

export interface Case {
  readonly wiring: Wiring;
  readonly from: string;
  /** The guest that is to be reached; an address may be nobody's. */
  readonly to: string | null;
  readonly address: IpAddress;
  readonly probe: ProbeKind;
  /** Bytes of the packet; 0 for a small one. */
  readonly size: number;
  readonly legs: readonly Leg[];
  readonly journey: Journey;
  readonly views: ReadonlyMap<string, GuestView>;
  /** Rules that drop, as they counted before the last probe. */
  readonly rulesBefore: ReadonlyMap<string, readonly DropRule[]>;
  readonly linkState: (link: string) => LinkState | undefined;
  /** Why a guest can do nothing: `bob is paused`. */
  readonly obstacle: (guest: string) => string | undefined;
}

export const textOf = (address: IpAddress): string => formatIp(address);
export const familyOf = (text: string): Family => (text.includes(":") ? 6 : 4);
export const ipName = (family: Family): string => (family === 4 ? "IPv4" : "IPv6");
export const asking = (family: Family): string => (family === 4 ? "ARP" : "neighbour discovery");

export function spotName(spot: Spot): string {
  if (spot.kind === "guest") return `${spot.guest}'s ${spot.interface}`;
  return spot.kind === "tap" ? `the host's ${spot.device}` : `switch ${spot.switch}`;
}

/** Guests that have an address now, as far as they were asked. */
export function holders(known: Case, address: string): { guest: string; interface: string }[] {
  return [...known.views.values()].flatMap((view) => {
    const held = holderOf(view, address);
    return held === undefined ? [] : [{ guest: view.guest, interface: held.interface.name }];
  });
}

/** `bob (10.0.2.10)`, or the address alone where it is nobody's. */
export function named(known: Case, address: string): string {
  const guest = known.wiring.owner(address)?.guest ?? holders(known, address)[0]?.guest;
  return guest === undefined ? address : `${guest} (${address})`;
}
