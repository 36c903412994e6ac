/** The timed scenario of a lab, with every address looked up. Pure data. */

import type { Impairment } from "../../net/control/messages.ts";
import type { Bound, ExpectPlan } from "./expect-plan.ts";

/** A stream of packets between two guests. */
export interface FlowPlan {
  /** `ping alice -> bob`; told apart by a number where there are two of a name. */
  readonly name: string;
  readonly protocol: "ping" | "tcp" | "udp";
  /** Whether iperf3 makes it, of both guests' images. */
  readonly iperf3: boolean;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  /** The source's addresses of that family: by these its packets are known. */
  readonly sources: readonly string[];
  /** Of TCP and UDP. */
  readonly port: number;
  readonly forMs: number;
  readonly intervalMs: number;
  /** 0: as fast as it goes. */
  readonly rateBitsPerSec: number;
  readonly bounds: { readonly loss?: Bound; readonly dark?: Bound; readonly throughput?: Bound };
}

export type ActionPlan =
  | {
      readonly kind: "link";
      readonly link: string;
      readonly change: { readonly up?: boolean; readonly set?: Impairment };
    }
  | { readonly kind: "run"; readonly on: string; readonly command: string }
  | {
      readonly kind: "guests";
      readonly operation: "stop" | "start" | "restart" | "pause" | "resume";
      readonly guests: readonly string[];
    }
  | { readonly kind: "flow"; readonly flow: FlowPlan }
  | { readonly kind: "expect"; readonly expect: ExpectPlan };

export type EventPlan = ActionPlan & {
  readonly atMs: number;
  /** What a report calls it: `link core down`. */
  readonly name: string;
  readonly withinMs: number | undefined;
  readonly points: number;
};
