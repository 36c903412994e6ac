/**
 * What the command line and the supervisor say to each other over a lab's control socket (frames:
 * `frames.ts`). Requests carry an `id` and get exactly one reply with it, after any number of events.
 * A channel carries the streams of one command or console; the client numbers them.
 */

import { LabError } from "../../base/errors.ts";
import type { ExecRequest } from "../../kernel/guest/spec.ts";
import type { Impairment } from "../../net/control/messages.ts";
import type { CaptureRequest, LabEvent, LinkAddition, Report } from "../api.ts";
import type { ExplainRequest } from "../explain/explain.ts";
import type { Parts } from "../parts.ts";
import type { ExpectPlan } from "../plan/expect-plan.ts";
import type { GuestPlan, LabPlan } from "../plan/plan.ts";

/** A plan as JSON: the contents of its files in base64. */
export interface WirePlan extends Omit<LabPlan, "guests"> {
  readonly guests: readonly (Omit<GuestPlan, "setup"> & {
    readonly setup: Omit<GuestPlan["setup"], "files"> & {
      readonly files: readonly {
        readonly path: string;
        readonly mode: number;
        readonly content: string;
      }[];
    };
  })[];
}

export function toWirePlan(plan: LabPlan): WirePlan {
  return {
    ...plan,
    guests: plan.guests.map((guest) => ({
      ...guest,
      setup: {
        ...guest.setup,
        files: guest.setup.files.map((file) => ({
          ...file,
          content: Buffer.from(file.content).toString("base64"),
        })),
      },
    })),
  };
}

export function fromWirePlan(plan: WirePlan): LabPlan {
  return {
    ...plan,
    guests: plan.guests.map((guest) => ({
      ...guest,
      memoryBytes: guest.memoryBytes, // JSON leaves undefined out
      diskBytes: guest.diskBytes,
      setup: {
        ...guest.setup,
        files: guest.setup.files.map((file) => ({
          ...file,
          content: Buffer.from(file.content, "base64"),
        })),
      },
    })),
  };
}

/** All that a supervisor needs to make the lab. */
export interface BeginRequest extends Parts {
  readonly op: "begin";
  readonly plan: WirePlan;
  /** Date.now() at the start of the command. */
  readonly startedAt: number;
  readonly checkMs: number;
  /** A folder where every frame is recorded. */
  readonly record?: string;
  /** The lab ends when this connection does. */
  readonly tied?: boolean;
  /** A guest whose kernel waits for a debugger before it begins. */
  readonly debug?: string;
}

/** The lab is to be what the plan says. Answers AppliedPlan. */
export interface ApplyRequest {
  readonly op: "apply";
  readonly plan: WirePlan;
  /** Absent: only what differs is asked. */
  readonly parts?: Parts | undefined;
  /** Date.now() at the start of the command. */
  readonly startedAt: number;
  readonly checkMs: number;
}

export type GuestOperation = "restart" | "stop" | "start" | "pause" | "resume";

export interface LinkChange {
  readonly up?: boolean;
  readonly impairments?: readonly [Impairment, Impairment];
}

export type Request =
  | BeginRequest // answers a Report; only on the connection that the supervisor is born with
  | ApplyRequest
  /** Answers a WirePlan: what the lab is now. */
  | { readonly op: "plan" }
  | { readonly op: "status" }
  | { readonly op: "verify" }
  /** Answers what holds of other expectations than the plan's. */
  | { readonly op: "assess"; readonly expect: ExpectPlan }
  | { readonly op: GuestOperation; readonly guests: readonly string[] }
  | { readonly op: "set-link"; readonly link: string; readonly change: LinkChange }
  | { readonly op: "add-link"; readonly addition: LinkAddition }
  | { readonly op: "remove-link"; readonly link: string }
  | { readonly op: "capture-start"; readonly capture: CaptureRequest }
  | { readonly op: "capture-stop"; readonly capture: string }
  | { readonly op: "inspect"; readonly guest: string }
  /** Lasts until it is cancelled, or the guest is stopped; answers why, or null where it was cancelled. */
  | { readonly op: "debug"; readonly guest: string; readonly freeze: boolean }
  | { readonly op: "save"; readonly file: string }
  | { readonly op: "explain"; readonly pair: ExplainRequest }
  /** Answers the same results, with why for those that are not as expected. */
  | { readonly op: "explain-failures"; readonly results: Report["reachability"] }
  | { readonly op: "down" };

export type ClientMessage =
  | { readonly id: number; readonly request: Request }
  | { readonly cancel: number }
  | { readonly channel: number; readonly exec: ExecRequest; readonly guest: string }
  | {
      readonly channel: number;
      readonly console: { readonly follow: boolean; readonly input: boolean };
      readonly guest: string;
    }
  | { readonly channel: number; readonly resize: { columns: number; rows: number } }
  | { readonly channel: number; readonly signal: number };

export type ServerMessage =
  | { readonly id: number; readonly event: LabEvent }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: WireError }
  | {
      readonly channel: number;
      readonly exit: { readonly code: number; readonly signal: number | undefined };
    }
  | { readonly channel: number; readonly error: WireError };

/** An error that crosses the socket. One that is not a LabError keeps its stack instead of a code. */
export interface WireError {
  readonly code: LabError["code"] | null;
  readonly message: string;
  readonly hint?: string;
  readonly stack?: string;
}

export function toWireError(error: unknown): WireError {
  if (error instanceof LabError) {
    return {
      code: error.code,
      message: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    };
  }
  return error instanceof Error
    ? { code: null, message: error.message, ...(error.stack ? { stack: error.stack } : {}) }
    : { code: null, message: String(error) };
}

export function fromWireError({ code, message, hint, stack }: WireError): Error {
  if (code !== null) return new LabError(code, message, hint === undefined ? {} : { hint });
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return error;
}
