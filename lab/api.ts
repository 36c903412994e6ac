/**
 * What the command line (and any program) can ask of labs: the calls, and the values they answer
 * with. Implementations: `manager.ts` (starting and finding labs) and `client.ts` (one running lab,
 * over its control socket). The engine never prints; it emits `LabEvent`s.
 */

import type { ProcessRecord } from "../base/processes.ts";
import type { GuestInspection } from "../kernel/guest/inspect/inspect.ts";
import type { ExecRequest, GuestPhase, GuestProcess, Kernel } from "../kernel/guest/spec.ts";
import type { EnsureOptions } from "../kernel/progress.ts";
import type {
  CaptureCounters,
  CaptureSpec,
  FabricCounters,
  Impairment,
} from "../net/control/messages.ts";
import type { ExplainRequest } from "./explain/explain.ts";
import type { Explanation } from "./explain/explanation.ts";
import type { Parts } from "./parts.ts";
import type { Change } from "./plan/change.ts";
import type { ExpectPlan } from "./plan/expect-plan.ts";
import type { LabPlan } from "./plan/plan.ts";

export type { Change, ExplainRequest, Explanation };

export type GuestState = GuestPhase | "paused" | "debugged" | "stopped" | "failed";

/** One ordered pair and one address. `why` is a sentence for a pair that is not `ok`. */
export interface ReachabilityResult {
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly reachable: boolean;
  readonly rttMs: number | null;
  readonly expected: "reach" | "isolate" | null;
  readonly ok: boolean;
  readonly why: string | null;
}

export interface CheckResult {
  readonly name: string;
  readonly on: string;
  readonly ok: boolean;
  readonly points: number;
  readonly of: number;
  readonly output: string;
  readonly exit: number | null;
}

/** Something expected that is neither a pair nor a command. */
export interface ExpectationResult {
  readonly kind: "routes" | "path" | "perf" | "listen" | "sees";
  /** What was expected, in words. */
  readonly name: string;
  /** The guest or link it is about. */
  readonly on: string;
  readonly ok: boolean;
  readonly points: number;
  readonly of: number;
  /** What there was. */
  readonly found: string;
  /** A sentence where it is not `ok`. */
  readonly why: string | null;
}

/** What an event did, and whether what it asks for held; times count from the scenario's start. */
export interface TimelineEvent {
  readonly kind: "link" | "run" | "guests" | "flow" | "expect";
  readonly name: string;
  /** When it was to happen, when it began (a change: when it was done), and when it was over. */
  readonly atMs: number;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly ok: boolean;
  readonly points: number;
  readonly of: number;
  /** What was found; of a command, its output. */
  readonly found: string;
  readonly why: string | null;
  /** Of `run`. */
  readonly exit?: number | null;
  /** Of `expect`. */
  readonly results?: Pick<Report, "reachability" | "checks" | "expectations">;
}

/** A flow as the fabric saw it. */
export interface FlowResult {
  readonly name: string;
  readonly protocol: "ping" | "tcp" | "udp";
  readonly from: string;
  readonly to: string;
  readonly startedMs: number;
  readonly endedMs: number;
  /** Packets; of TCP, where what is lost is sent again, only those that arrived. */
  readonly sent: number | null;
  readonly received: number;
  readonly lost: number | null;
  readonly bitsPerSec: number | null;
  /** When nothing arrived for longer than it should. */
  readonly dark: readonly { readonly fromMs: number; readonly toMs: number }[];
  /** The longest of these. */
  readonly darkMs: number;
  /** Packets that arrived, by slices of time from its start. */
  readonly sliceMs: number;
  readonly slices: readonly number[];
}

/** What `events` did. */
export interface Timeline {
  readonly lengthMs: number;
  readonly events: readonly TimelineEvent[];
  readonly flows: readonly FlowResult[];
}

/** The report of `up`, `test` and `verify`: its JSON is a contract; fields may be added. */
export interface Report {
  readonly lab: string;
  readonly verdict: "pass" | "fail";
  readonly guests: readonly {
    readonly name: string;
    readonly state: GuestState;
    readonly pid: number | null;
    readonly bootMs: number | null;
    readonly kernel: string;
    readonly interfaces: readonly {
      readonly name: string;
      readonly mac: string;
      readonly addresses: readonly string[];
    }[];
  }[];
  readonly reachability: readonly ReachabilityResult[];
  readonly checks: readonly CheckResult[];
  readonly expectations: readonly ExpectationResult[];
  /** null where the file has no events, and of `verify`. */
  readonly timeline: Timeline | null;
  readonly score: { readonly points: number; readonly of: number };
  readonly timing: {
    readonly checkMs: number;
    readonly bootMs: number;
    readonly readyMs: number;
    readonly verifyMs: number;
    readonly totalMs: number;
  };
}

/** What holds of expectations. */
export type Assessment = Pick<Report, "reachability" | "checks" | "expectations">;

/** What happens while a lab is made, used and ended; renderers draw these. */
export type LabEvent =
  | { readonly type: "step"; readonly step: string; readonly detail?: string }
  /** Fetching or building something: `done` of `total` where known, in `unit`. */
  | {
      readonly type: "progress";
      readonly what: string;
      readonly done: number;
      readonly total?: number;
      readonly unit: "bytes" | "items";
      /** How long it will still take, as far as can be told. */
      readonly leftMs?: number;
    }
  | {
      readonly type: "guest";
      readonly guest: string;
      readonly state: GuestState;
      readonly ms?: number;
    }
  | {
      readonly type: "reachability";
      readonly probed: number;
      readonly of: number;
      readonly reached: number;
    }
  | { readonly type: "notice"; readonly message: string }
  /** A guest's kernel waits for a debugger at its first instruction. */
  | { readonly type: "held"; readonly guest: string }
  /** A debugger may attach. */
  | { readonly type: "debug"; readonly target: DebugTarget };

export type OnLabEvent = (event: LabEvent) => void;

export interface LabSummary {
  readonly name: string;
  readonly file: string;
  /** crashed: its supervisor is gone and `clean` mends it; what was found is in `problem`. */
  readonly state: "starting" | "running" | "stopping" | "crashed";
  readonly pid: number | null;
  readonly guests: number;
  /** ISO 8601. */
  readonly since: string;
  readonly problem: string | null;
}

export interface GuestStatus {
  readonly name: string;
  readonly state: GuestState;
  readonly pid: number | null;
  readonly image: string;
  readonly kernel: string;
  readonly memoryBytes: number;
  /** Resident (PSS) memory of all its host processes, bytes; null where it can't be read. */
  readonly residentBytes: number | null;
  /** CPU seconds of all its host processes since its start. */
  readonly cpuSeconds: number | null;
  readonly bootMs: number | null;
  readonly interfaces: Report["guests"][number]["interfaces"];
}

export interface LabStatus {
  readonly lab: string;
  readonly file: string;
  readonly since: string;
  readonly supervisorPid: number;
  readonly fabricPid: number;
  readonly guests: readonly GuestStatus[];
  readonly counters: FabricCounters;
}

/** A guest from inside and outside, with the cables its NICs are plugged into. */
export interface Inspection extends Omit<GuestInspection, "nics"> {
  readonly state: GuestState;
  readonly nics: readonly (GuestInspection["nics"][number] & {
    /** The guest's kernel has handed its queues over. */
    readonly connected: boolean;
    /** Null where no cable is plugged in. */
    readonly link: { readonly name: string; readonly up: boolean; readonly to: string } | null;
  })[];
}

export interface UpOptions {
  readonly file: string;
  readonly signal: AbortSignal;
  readonly onEvent: OnLabEvent;
  /** Date.now() at the start of the command, for `timing.totalMs`. */
  readonly startedAt: number;
  /** A folder (absolute) where every frame is recorded from the first on. */
  readonly record?: string;
  /** The lab ends when this process does. */
  readonly tied?: boolean;
  /** The guests' disks stay when the lab goes down. */
  readonly keep?: boolean;
  /** New disks, though some were kept. */
  readonly fresh?: boolean;
  /** A file (absolute) that `save` wrote: its disks are what the guests begin with. */
  readonly resume?: string;
  /** The kernel of `guest` waits before it begins until `debug` resolves; the others boot. */
  readonly debug?: {
    readonly guest: string;
    /** Told before anything starts, so that what is missing is told then. */
    readonly prepare: (kernel: Kernel, options: EnsureOptions) => Promise<void>;
    readonly debug: (lab: RunningLab) => Promise<void>;
  };
}

export interface CaptureRequest extends Omit<CaptureSpec, "capture" | "output"> {
  /** An absolute path, or null for a FIFO that the caller reads. */
  readonly file: string | null;
  readonly rotateBytes?: number;
  readonly keepFiles?: number;
}

export interface StartedCapture {
  /** Its name, to stop it by. */
  readonly capture: string;
  /** The file, or the FIFO. */
  readonly path: string;
}

/** A guest's kernel as a debugger finds it. */
export interface DebugTarget {
  readonly guest: string;
  readonly kernel: Kernel;
  /** The kernel's process on the host. */
  readonly process: ProcessRecord;
  /** It stands at its first instruction, and has not begun to boot. */
  readonly held: boolean;
  /** A folder for what the debugger needs; it goes with the lab. */
  readonly folder: string;
}

/** A debugger's stay at a kernel. Disposing it lets the kernel go on, and resolves when it does. */
export interface DebugSession extends AsyncDisposable {
  readonly target: DebugTarget;
  /** Resolves with why where the lab ended it (the guest is stopped, the lab goes down); else with null. */
  readonly over: Promise<string | null>;
}

export interface SavedDisks {
  readonly lab: string;
  readonly file: string;
  readonly bytes: number;
  /** Guests. */
  readonly disks: readonly string[];
}

/** Disks that a lab left. */
export interface KeptDisks {
  readonly lab: string;
  readonly file: string;
  /** ISO 8601. */
  readonly usedAt: string;
  readonly inUse: boolean;
  readonly disks: readonly {
    readonly guest: string;
    readonly path: string;
    /** Its size, and what it takes on the host. */
    readonly bytes: number;
    readonly usedBytes: number;
    readonly image: string;
  }[];
}

export interface ApplyOptions {
  readonly file: string;
  /** Only what differs is told; nothing is touched. */
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  readonly onEvent: OnLabEvent;
  /** Date.now() at the start of the command, for `timing.totalMs`. */
  readonly startedAt: number;
}

/** A plan that a running lab is brought to. */
export interface PlanApplication {
  readonly plan: LabPlan;
  /** What its guests are made of; absent: only what differs is asked. */
  readonly parts?: Parts | undefined;
  readonly startedAt: number;
  readonly checkMs: number;
}

/** What `apply` did, or would do. Its JSON is a contract; fields may be added. */
export interface AppliedPlan {
  readonly lab: string;
  readonly changes: readonly Change[];
  /** As of `verify`; null of a dry run. */
  readonly report: Report | null;
}

/** A cable for a running lab. */
export interface LinkAddition {
  /** `GUEST`, `GUEST:ethN` or a switch: what there is, with no cable yet. */
  readonly ends: readonly [string, string];
  readonly name?: string;
  /** Of its ports at switches. */
  readonly vlan?: number;
  readonly trunk?: readonly number[];
  readonly impairments: readonly [Impairment, Impairment];
}

/** A running lab, reached over its control socket. Disposing closes the connection only. */
export interface RunningLab extends AsyncDisposable {
  readonly name: string;
  status(): Promise<LabStatus>;
  /** What it is, by its file and what was applied since. */
  plan(): Promise<LabPlan>;
  /**
   * Brings it to another plan, and judges it. Throws USAGE, GUEST_BOOT, GUEST_SETUP and what ways
   * out throw, when all else is done; the lab runs on.
   */
  apply(
    application: PlanApplication,
    options: { signal: AbortSignal; onEvent: OnLabEvent },
  ): Promise<AppliedPlan>;
  verify(options: { signal: AbortSignal; onEvent: OnLabEvent }): Promise<Report>;
  /** Judges other expectations than the topology's, on the running lab. */
  assess(
    expect: ExpectPlan,
    options: { signal: AbortSignal; onEvent: OnLabEvent },
  ): Promise<Assessment>;
  exec(guest: string, request: ExecRequest): GuestProcess;
  /** Throws NO_SUCH_GUEST, and GUEST_FAILED where its kernel does not run. */
  inspect(guest: string): Promise<Inspection>;
  /**
   * Announces a debugger at a guest's kernel; with `freeze`, the other guests stand still whenever it
   * stands still in the debugger. Throws NO_SUCH_GUEST, GUEST_FAILED.
   */
  debug(guest: string, options: { readonly freeze: boolean }): Promise<DebugSession>;
  /** Sends probes, and answers where they went. Throws NO_SUCH_GUEST. */
  explain(pair: ExplainRequest, options: { readonly signal: AbortSignal }): Promise<Explanation>;
  /** Answers the same results, with a sentence that explains it for those that are not as expected. */
  explainFailures(
    results: Report["reachability"],
    options: { readonly signal: AbortSignal },
  ): Promise<Report["reachability"]>;
  /** The console's output from the start of the boot, going on while it is read if `follow`. */
  console(guest: string, options: { follow: boolean; input: boolean }): GuestProcess;
  restart(guests: readonly string[], onEvent: OnLabEvent): Promise<void>;
  stop(guests: readonly string[], onEvent: OnLabEvent): Promise<void>;
  start(guests: readonly string[], onEvent: OnLabEvent): Promise<void>;
  pause(guests: readonly string[]): Promise<void>;
  resume(guests: readonly string[]): Promise<void>;
  setLink(
    link: string,
    change: { up?: boolean; impairments?: readonly [Impairment, Impairment] },
  ): Promise<void>;
  /** Answers the name of the new link. */
  addLink(addition: LinkAddition): Promise<string>;
  removeLink(link: string): Promise<void>;
  /** Records from now on, until it is stopped or this connection ends. */
  startCapture(request: CaptureRequest): Promise<StartedCapture>;
  /** What was recorded; null where the capture had ended before. */
  stopCapture(capture: string): Promise<CaptureCounters | null>;
  /** Writes the guests' disks into a file (absolute), all as of one moment. Guests pause meanwhile. */
  save(file: string): Promise<SavedDisks>;
  /** Ends the lab; resolves when no process, socket or file of it is left. */
  down(onEvent: OnLabEvent): Promise<void>;
}
