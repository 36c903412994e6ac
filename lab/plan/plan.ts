/**
 * A plan: everything a lab is going to be, decided before anything starts. Pure data (JSON goes
 * both ways, but for file contents), made from a checked topology by `make-plan.ts`; the same file,
 * environment and seed give the same plan.
 */

import type { GuestSetup } from "../../kernel/guest/spec.ts";
import type { LinkSpec, SwitchSpec } from "../../net/control/messages.ts";
import type { EventPlan } from "./event-plan.ts";
import type { ClaimPlan } from "./expect-plan.ts";
import type { OutletPlan } from "./outlets.ts";

export interface GuestPlan {
  readonly name: string;
  /** As the file says: `base`, `router`, `docker:…`. */
  readonly image: string;
  /** `auto`, `debian`, `lean`, or an absolute path. */
  readonly kernel: string;
  /** Undefined: the image's default. */
  readonly memoryBytes: number | undefined;
  /** Undefined: what it writes is RAM, and gone with it. */
  readonly diskBytes: number | undefined;
  readonly isolation: "fast" | "strict";
  readonly forward: boolean;
  readonly setup: GuestSetup;
  /** What its way out adds to `setup`; null where it has none. */
  readonly outlet: OutletPlan | null;
}

/** An ordered pair that is probed, at each address of `to`. */
export interface PairPlan {
  readonly from: string;
  readonly to: string;
  readonly addresses: readonly string[];
  /** null: measured, not judged. */
  readonly expected: "reach" | "isolate" | null;
}

export interface CheckPlan {
  readonly name: string;
  readonly on: string;
  readonly run: string;
  readonly output: { readonly regexp: string } | { readonly contains: string } | undefined;
  readonly exit: number;
  readonly withinMs: number;
  readonly points: number;
}

export interface LabPlan {
  readonly name: string;
  readonly description: string | undefined;
  /** Absolute path of the topology file. */
  readonly file: string;
  readonly seed: number;
  readonly clock: "wall" | "virtual";
  /** Switches may be linked in a loop. */
  readonly allowLoops: boolean;
  /** In the order of the file. */
  readonly guests: readonly GuestPlan[];
  readonly switches: readonly SwitchSpec[];
  readonly links: readonly LinkSpec[];
  readonly pairs: readonly PairPlan[];
  readonly checks: readonly CheckPlan[];
  readonly claims: readonly ClaimPlan[];
  readonly settleMs: number;
  /** In the order of their times. */
  readonly events: readonly EventPlan[];
}
