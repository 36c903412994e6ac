/**
 * A topology that was read and found right: names expanded, interfaces numbered, addresses given.
 * What `make-plan.ts` makes a plan of. Pure data.
 */

import type { InterfaceAddress, IpAddress } from "../../base/addresses.ts";
import type { SourcePosition } from "../../base/errors.ts";
import type { GuestFile } from "../../kernel/guest/spec.ts";
import type { Impairment } from "../../net/control/messages.ts";
import type { ForwardedPort } from "../../net/passt.ts";
import type { Bound, ClaimPlan } from "../plan/expect-plan.ts";

export interface TopologyInterface {
  readonly name: string;
  readonly addresses: readonly InterfaceAddress[];
  /** Undefined: made from the seed. */
  readonly mac: string | undefined;
  readonly mtu: number;
}

export interface TopologyRoute {
  /** Prefix length 0 is the default route. */
  readonly to: InterfaceAddress;
  readonly via: IpAddress;
}

export interface TopologyGuest {
  readonly name: string;
  readonly image: string;
  readonly memoryBytes: number | undefined;
  /** Undefined: its writable layer is RAM. */
  readonly diskBytes: number | undefined;
  /** `auto`, `debian`, `lean`, or an absolute path. */
  readonly kernel: string;
  readonly isolation: "fast" | "strict";
  readonly forward: boolean;
  /** eth0, eth1, …, without gaps. */
  readonly interfaces: readonly TopologyInterface[];
  /** What the file says (gateways of guest and switch, `routes`); not those of `routing`. */
  readonly routes: readonly TopologyRoute[];
  readonly sysctl: Readonly<Record<string, string>>;
  readonly files: readonly GuestFile[];
  readonly env: Readonly<Record<string, string>>;
  readonly run: readonly string[];
  /** Configuration of routing daemons. */
  readonly frr: string | undefined;
  readonly bird: string | undefined;
  /** `host`: to the outside and to the host's loopback. */
  readonly internet: "none" | "outside" | "host";
  readonly ports: readonly ForwardedPort[];
  /** The image's own command runs. */
  readonly service: boolean;
}

export interface TopologySwitch {
  readonly name: string;
  readonly hub: boolean;
  readonly ageingMs: number;
  /** The TAP interface of the host that is plugged in, and the name of its cable. */
  readonly tap: { readonly device: string; readonly link: string } | undefined;
}

export type TopologyEnd =
  | { readonly kind: "guest"; readonly guest: string; readonly interface: string }
  | {
      readonly kind: "switch";
      readonly switch: string;
      readonly vlan: number | undefined;
      readonly trunk: readonly number[] | undefined;
    };

export interface TopologyLink {
  readonly name: string;
  readonly ends: readonly [TopologyEnd, TopologyEnd];
  readonly up: boolean;
  /** [frames that leave the first end, frames that leave the second end]. */
  readonly impairments: readonly [Impairment, Impairment];
}

/** One line of `reach` or `isolate`, with its names looked up. */
export interface PairRule {
  readonly expected: "reach" | "isolate";
  readonly from: readonly string[];
  readonly to: readonly string[];
  /** The rule that names its guests more exactly wins: 2 a name, 1 a range, 0 a star; both sides. */
  readonly exactness: number;
}

export interface TopologyCheck {
  readonly name: string;
  readonly on: string;
  readonly run: string;
  readonly output: { readonly regexp: string } | { readonly contains: string } | undefined;
  readonly exit: number;
  readonly withinMs: number;
  readonly points: number;
}

/** A claim before addresses are looked up. */
export type TopologyClaim = ClaimPlan extends infer Each
  ? Each extends ClaimPlan
    ? Omit<Each, "address">
    : never
  : never;

export interface TopologyExpectations {
  readonly rules: readonly PairRule[];
  readonly checks: readonly TopologyCheck[];
  readonly claims: readonly TopologyClaim[];
  readonly settleMs: number;
}

/** A stream of packets between two guests. */
export interface TopologyFlow {
  readonly protocol: "ping" | "tcp" | "udp";
  /** Whether iperf3 makes it, of both guests' images. */
  readonly iperf3: boolean;
  readonly from: string;
  readonly to: string;
  readonly forMs: number;
  /** Between two echo requests. */
  readonly intervalMs: number;
  /** 0: as fast as it goes. */
  readonly rateBitsPerSec: number;
  readonly bounds: { readonly loss?: Bound; readonly dark?: Bound; readonly throughput?: Bound };
}

export type TopologyAction =
  | {
      readonly kind: "link";
      readonly link: string;
      readonly change: { readonly up?: boolean; readonly set?: Impairment };
      /** `set` as the file has it: `loss 20%`. */
      readonly text: string;
    }
  | { readonly kind: "run"; readonly on: string; readonly command: string }
  | {
      readonly kind: "guests";
      readonly operation: "stop" | "start" | "restart" | "pause" | "resume";
      readonly guests: readonly string[];
    }
  | { readonly kind: "flow"; readonly flow: TopologyFlow }
  | { readonly kind: "expect"; readonly expectations: TopologyExpectations };

export type TopologyEvent = TopologyAction & {
  readonly atMs: number;
  /** Of `expect`: how long it may take; of a change: when every flow must be flowing again. */
  readonly withinMs: number | undefined;
  /** Undefined: 1 where something is judged. */
  readonly points: number | undefined;
};

/** A key that this version reads, but that a running lab cannot do yet (see `not-yet.ts`). */
export interface UsedFeature {
  readonly feature: string;
  readonly at: SourcePosition;
  readonly excerpt: string;
}

export interface Topology {
  readonly name: string;
  readonly description: string | undefined;
  /** Absolute. */
  readonly file: string;
  readonly clock: "wall" | "virtual";
  readonly seed: number;
  readonly routing: "none" | "static";
  /** Switches may be linked in a loop. */
  readonly allowLoops: boolean;
  readonly guests: readonly TopologyGuest[];
  readonly switches: readonly TopologySwitch[];
  readonly links: readonly TopologyLink[];
  readonly rules: readonly PairRule[];
  readonly checks: readonly TopologyCheck[];
  readonly claims: readonly TopologyClaim[];
  readonly settleMs: number;
  readonly events: readonly TopologyEvent[];
  readonly used: readonly UsedFeature[];
}
