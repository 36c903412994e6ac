/**
 * What `explain` answers with: the way of a probe there and back, hop by hop, and one sentence. Plain
 * data; the JSON of `uml-lab explain --format json`.
 */

import type { DropReason } from "../../net/control/messages.ts";

export type Cause =
  | "no-address"
  | "wrong-prefix"
  | "no-route" // at the source
  | "no-route-at-router"
  | "no-way-back"
  | "wrong-gateway"
  | "neighbor-silent" // ARP or neighbour discovery stays unanswered
  | "duplicate-address"
  | "interface-down"
  | "cable-pulled"
  | "cable-lossy"
  | "cable-full"
  | "cable-slow"
  | "cable-corrupting"
  | "vlan-mismatch"
  | "vlan-missing"
  | "forwarding-off"
  | "firewall-drop"
  | "firewall-reject"
  | "reverse-path-filter"
  | "routing-loop"
  | "hops-exhausted"
  | "mtu-black-hole"
  | "other-address" // the answer came from another address than the one that was asked
  | "icmp-filtered" // and TCP gets through
  | "port-filtered" // and ICMP gets through
  | "port-closed"
  | "no-service" // the datagram arrived, and nobody answered
  | "echo-ignored"
  | "guest-gone"
  | "left-lab" // by a TAP, to the host
  | "unexplained";

export type ProbeKind =
  | { readonly kind: "icmp" }
  | { readonly kind: "tcp"; readonly port: number }
  | { readonly kind: "udp"; readonly port: number };

/** Where a guest or a switch is on the way, or the link between two of them. */
export type Hop =
  | {
      readonly kind: "guest";
      readonly guest: string;
      /** The interfaces it came in by and went out by; null at the ends, and where it went no further. */
      readonly in: string | null;
      readonly out: string | null;
      /** From when it had the frame to when it sent it on. */
      readonly ns: number | null;
      readonly ttl: number | null;
      /** What it did instead of passing it on: `sends ICMP "network unreachable" to 10.0.1.10`. */
      readonly note: string | null;
    }
  | { readonly kind: "switch"; readonly switch: string; readonly note: string | null }
  | {
      readonly kind: "link";
      readonly link: string;
      readonly from: string;
      readonly to: string;
      readonly ns: number | null;
      /** passed, under-way, or why the fabric did not pass it on. */
      readonly fate: "passed" | "under-way" | DropReason;
      readonly note: string | null;
    };

/** What is to blame, as far as it is one thing. */
export interface Place {
  readonly guest?: string;
  readonly interface?: string;
  readonly link?: string;
  readonly switch?: string;
  readonly address?: string;
  readonly prefix?: string;
}

export interface Finding {
  readonly cause: Cause;
  readonly at: Place;
  /** One sentence that a student understands. */
  readonly sentence: string;
  /** The command, or the change, that looks into it or mends it. */
  readonly hint?: string;
}

export interface Explanation {
  readonly lab: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly probe: ProbeKind;
  readonly reachable: boolean;
  /** From the probe's first link to its answer's last, as the fabric saw it. */
  readonly rttMs: number | null;
  /** null: nothing is wrong. */
  readonly cause: Cause | null;
  readonly at: Place;
  readonly sentence: string;
  readonly hint: string | null;
  readonly there: readonly Hop[];
  readonly back: readonly Hop[];
  /** What else was seen that a person may want to know. */
  readonly notes: readonly string[];
}
