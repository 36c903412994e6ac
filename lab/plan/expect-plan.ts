/** What must hold of a lab, with every name and address looked up. Pure data. */

import type { CheckPlan, PairPlan } from "./plan.ts";

/** `>= 8Mbit`: a comparison, a value in base units (bits a second, nanoseconds, a share, a number). */
export interface Bound {
  readonly relation: ">=" | "<=" | ">" | "<" | "==";
  readonly value: number;
  /** As the file has it. */
  readonly text: string;
}

export interface ListenPort {
  readonly port: number;
  readonly protocol: "tcp" | "udp";
}

/** A claim that is neither a pair nor a command. */
export type Claim =
  | {
      readonly kind: "routes";
      readonly guest: string;
      /** `10.0.2.0/24` or `default`, and a gateway; canonical. */
      readonly routes: readonly { readonly to: string; readonly via: string }[];
      /** These and no others through a gateway. */
      readonly exactly: boolean;
    }
  | {
      readonly kind: "path";
      readonly from: string;
      readonly to: string;
      readonly address: string;
      readonly via: readonly string[];
    }
  | {
      readonly kind: "perf";
      readonly from: string;
      readonly to: string;
      readonly address: string;
      readonly bounds: {
        readonly tcp?: Bound;
        readonly udp?: Bound;
        readonly rtt?: Bound;
        readonly loss?: Bound;
      };
    }
  | { readonly kind: "listen"; readonly guest: string; readonly ports: readonly ListenPort[] }
  | {
      readonly kind: "sees";
      readonly link: string;
      readonly filter: string;
      readonly count: Bound;
      /** Names the fabric's watch of it. */
      readonly watch: string;
    };

export type ClaimPlan = Claim & {
  /** What it says, as a report names it. */
  readonly name: string;
  /** The guest or link it is about. */
  readonly on: string;
  readonly points: number;
};

export interface ExpectPlan {
  readonly pairs: readonly PairPlan[];
  readonly checks: readonly CheckPlan[];
  readonly claims: readonly ClaimPlan[];
  readonly settleMs: number;
}

export function meets({ relation, value }: Bound, measured: number): boolean {
  switch (relation) {
    case ">=":
      return measured >= value;
    case "<=":
      return measured <= value;
    case ">":
      return measured > value;
    case "<":
      return measured < value;
    case "==":
      return measured === value;
  }
}

/** Whether more of it can still make it true. */
export const canStillCome = ({ relation }: Bound): boolean => relation === ">=" || relation === ">";
