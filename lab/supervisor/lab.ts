/**
 * One lab from the inside: its fabric, its guests, and what is asked of them. It is made by `begin`,
 * and ends by disposing, by a crash of its fabric, or with its process.
 *
 *     wiring -> fabric: NICs, switches, links     guests -> keepers     judging -> guests' kernels
 */

import { Cleanups } from "../../base/cleanups.ts";
import { LabError } from "../../base/errors.ts";
import type { ProcessRecord } from "../../base/processes.ts";
import { count } from "../../base/units.ts";
import type {
  BootOptions,
  ExecRequest,
  GuestProcess,
  GuestSpec,
  Image,
  Kernel,
  RunningGuest,
} from "../../kernel/guest/spec.ts";
import type { CaptureCounters } from "../../net/control/messages.ts";
import type { FabricOptions, RunningFabric } from "../../net/fabric.ts";
import type {
  CaptureRequest,
  Inspection,
  LabStatus,
  LinkAddition,
  OnLabEvent,
  Report,
  SavedDisks,
  StartedCapture,
} from "../api.ts";
import type { GuestOperation, LinkChange } from "../control/messages.ts";
import type { OpenDisks } from "../disks/open-disks.ts";
import type { Change } from "../plan/change.ts";
import { differenceOf } from "../plan/difference.ts";
import { nicsOf } from "../plan/nics.ts";
import type { GuestPlan, LabPlan } from "../plan/plan.ts";
import { inspect, reportOf, round, statusOf } from "./accounts.ts";
import { addedLink } from "./added-link.ts";
import { type AppliedLab, applyChanges } from "./apply.ts";
import { Captures } from "./captures.ts";
import { type DebugRequest, debugGuest } from "./debugging.ts";
import type { GuestKeeper } from "./guest-keeper.ts";
import { type GuestParts, Guests } from "./guests.ts";
import { Judging, watchesOf } from "./judging.ts";
import { saveDisks } from "./saving.ts";
import { recordPath, Wiring } from "./wiring.ts";

/** What a lab is made with; tests give others. */
export interface Machinery {
  readonly startFabric: (options: FabricOptions) => Promise<RunningFabric>;
  readonly bootGuest: (spec: GuestSpec, options: BootOptions) => Promise<RunningGuest>;
  /** Does once what every boot needs, while the fabric starts. */
  readonly prepare: (kernels: readonly Kernel[], images: readonly Image[]) => Promise<void>;
}

export interface LabOptions {
  readonly plan: LabPlan;
  readonly kernels: Readonly<Record<string, Kernel>>;
  readonly images: Readonly<Record<string, Image>>;
  readonly folder: string;
  /** The passt program, where guests have ways out. */
  readonly passt?: string | undefined;
  readonly since: string;
  readonly fabric: Promise<RunningFabric>;
  readonly machinery: Machinery;
  /** A folder where every frame is recorded. */
  readonly record?: string;
  /** Undefined where no guest has a disk. */
  readonly disks: () => OpenDisks | undefined;
  /** A guest whose kernel waits for a debugger before it begins. */
  readonly debug?: string;
  readonly onProcess: (what: string, record: ProcessRecord) => void;
  /** The fabric is gone, unasked. */
  readonly onCrash: (problem: string) => void;
  readonly log: (message: string) => void;
}

/** What a lab is brought to, with what its guests are then made of. */
export interface AppliedParts extends Pick<LabOptions, "plan" | "kernels" | "images" | "passt"> {}

export interface JudgeOptions {
  /** Date.now() when the command began, and how long the file took to check. */
  readonly startedAt: number;
  readonly checkMs: number;
  readonly events: boolean;
}

interface BootTiming {
  readonly bootMs: number;
  readonly readyMs: number;
}

export class Lab implements AsyncDisposable {
  /** Other expectations, and why packets die. */
  readonly judging: Judging;
  readonly #options: LabOptions;
  #plan: LabPlan;
  readonly #guests: Guests;
  readonly #captures: Captures;
  readonly #cleanups = new Cleanups();
  readonly #listeners = new Set<OnLabEvent>();
  #running: Wiring | undefined;
  #timing: BootTiming = { bootMs: 0, readyMs: 0 };
  /** When the last agent answered: performance.now(). */
  #agentsAt = 0;
  #applying = false;
  #ending = false;

  constructor(options: LabOptions) {
    const { plan, folder, machinery, onProcess, log } = options;
    this.#options = options;
    this.#plan = plan;
    this.#captures = new Captures(folder);
    this.#guests = new Guests({
      lab: plan.name,
      folder,
      bootGuest: machinery.bootGuest,
      onProcess,
      onState: (guest, state, ms) => {
        if (state === "agent") this.#agentsAt = performance.now();
        this.#emit({ type: "guest", guest, state, ...(ms === undefined ? {} : { ms }) });
        if (!this.#ending) log(`guest ${guest}: ${state}`);
      },
    });
    this.judging = new Judging({
      plan: () => this.#plan,
      guests: this.#guests,
      wiring: () => this.#wiring,
      setLink: (link, change) => this.setLink(link, change),
      operate: (...words) => this.operate(...words),
      log,
    });
  }

  get name(): string {
    return this.#plan.name;
  }

  /** Starts the fabric and boots every guest; throws the first failure when all have stopped. */
  async begin(signal: AbortSignal, onEvent: OnLabEvent): Promise<void> {
    using _ = this.#listen(onEvent);
    const { machinery, kernels, images } = this.#options;
    const startedAt = performance.now();
    this.#agentsAt = startedAt;
    const prepared = machinery.prepare(
      [...new Set(Object.values(kernels))],
      [...new Set(Object.values(images))],
    );
    prepared.catch(() => {}); // awaited below
    await this.#wire(signal);
    await prepared;

    onEvent({ type: "step", step: "boot", detail: count(this.#plan.guests.length, "guest") });
    for (const guest of this.#plan.guests) {
      const held = guest.name === this.#options.debug;
      const onHeld = held ? () => this.#emit({ type: "held", guest: guest.name }) : undefined;
      this.#guests.add(guest, this.#partsOf(guest, this.#options), onHeld);
    }
    this.#cleanups.defer("end the guests", () => this.#guests[Symbol.asyncDispose]());
    const first = new AbortController();
    const over = AbortSignal.any([signal, first.signal]);
    const results = await Promise.allSettled(
      this.#guests.keepers.map((keeper) =>
        keeper.start(over).catch((error: unknown) => {
          first.abort(error); // a lab with a guest missing is none: stop the others
          throw error;
        }),
      ),
    );
    signal.throwIfAborted();
    if (results.some(({ status }) => status === "rejected")) throw first.signal.reason;
    this.#timing = {
      bootMs: round(this.#agentsAt - startedAt),
      readyMs: round(performance.now() - startedAt),
    };
  }

  async #wire(signal: AbortSignal): Promise<void> {
    const { folder, record, passt = "passt", onProcess, log } = this.#options;
    const { switches, guests, links } = this.#plan;
    this.#emit({ type: "step", step: "wire", detail: count(links.length, "link") });
    const fabric = await this.#options.fabric;
    signal.throwIfAborted();
    const wiring = new Wiring({ fabric, folder, onProcess, log });
    this.#running = wiring;
    this.#cleanups.defer("end the fabric", async () => fabric[Symbol.asyncDispose]());
    this.#cleanups.defer("end the ways out", () => wiring[Symbol.asyncDispose]());
    void fabric.exited.then(({ code, signal: by }) => {
      if (this.#ending) return;
      const how = by === null ? `ended with status ${code}` : `was ended by ${by}`;
      this.#options.onCrash(`its fabric (process ${fabric.process.pid}) ${how}`);
    });
    await Promise.all([
      ...(record === undefined ? [] : [wiring.record(recordPath(record, this.name))]),
      ...switches.map((spec) => wiring.addSwitch(spec)),
      ...guests.flatMap(nicsOf).map((nic) => wiring.addNic(nic)),
      ...links.map((link) => wiring.addLink(link)),
      wiring.watch(watchesOf(this.#plan)),
      ...guests.map(async ({ name, outlet }) => {
        if (outlet !== null) await wiring.openWayOut(name, outlet, passt);
      }),
    ]);
  }

  #partsOf(guest: GuestPlan, { kernels, images }: Pick<LabOptions, "kernels" | "images">) {
    const parts: GuestParts = {
      kernel: kernels[guest.kernel] as Kernel,
      image: images[guest.image] as Image,
      disk: guest.diskBytes === undefined ? undefined : this.#options.disks()?.fileOf(guest.name),
      nicSockets: this.#wiring.socketsOf(guest),
    };
    return parts;
  }

  /** What it is now. */
  get plan(): LabPlan {
    return this.#plan;
  }

  /** What differs between the lab as it is and a plan of the same name. Throws USAGE. */
  differenceTo(plan: LabPlan): Change[] {
    if (plan.name !== this.name || plan.clock !== this.#plan.clock) {
      const what = plan.name === this.name ? "clock" : "name";
      throw new LabError("USAGE", `the ${what} of lab ${this.name} can't change while it runs`, {
        hint: `uml-lab down ${this.name}, and uml-lab up ${plan.file}`,
      });
    }
    const { switches, links, waysOut } = this.#wiring;
    return differenceOf(
      {
        plan: this.#plan,
        guests: this.#guests.states,
        switches,
        links: links.filter(({ ends }) => ends.every(({ kind }) => kind !== "outlet")),
        waysOut,
      },
      plan,
    );
  }

  /**
   * Brings the lab to the plan; guests and cables that it does not change go on undisturbed. Throws
   * USAGE while another does the same, else as `applyChanges`; the lab runs on.
   */
  async apply(
    { plan, passt = "passt", ...parts }: AppliedParts,
    changes: readonly Change[],
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ): Promise<void> {
    if (this.#applying) {
      throw new LabError("USAGE", `another apply is changing lab ${this.name}`, {
        hint: "wait until it is done, and try again",
      });
    }
    this.#applying = true;
    using _ = this.#listen(onEvent);
    try {
      const { prepare } = this.#options.machinery;
      await prepare(
        [...new Set(Object.values(parts.kernels))],
        [...new Set(Object.values(parts.images))],
      );
      const lab: AppliedLab = {
        folder: this.#options.folder,
        guests: this.#guests,
        wiring: this.#wiring,
        disks: this.#options.disks(),
        passt,
        partsOf: (guest) => this.#partsOf(guest, parts),
        onWired: () => {
          this.#plan = plan;
        },
      };
      await applyChanges(lab, changes, plan, signal, onEvent);
    } finally {
      this.#applying = false;
    }
  }

  /** Measures and judges; with `events`, plays the scenario too. Throws the signal's reason. */
  async judge(
    signal: AbortSignal,
    onEvent: OnLabEvent,
    { startedAt, checkMs, events }: JudgeOptions,
  ): Promise<Report> {
    const verifyStartedAt = performance.now();
    const found = await this.judging.judge(signal, onEvent);
    const verifyMs = round(performance.now() - verifyStartedAt);
    const withEvents = events && this.#plan.events.length > 0;
    const timeline = withEvents ? await this.judging.play(signal, onEvent) : null;
    const { reachability, checks, expectations } = found;
    const scored = [...checks, ...expectations, ...(timeline?.events ?? [])];
    const judged = [...reachability, ...scored];
    return {
      lab: this.#plan.name,
      verdict: judged.every(({ ok }) => ok) ? "pass" : "fail",
      guests: this.#guests.keepers.map(reportOf),
      reachability,
      checks,
      expectations,
      timeline,
      score: {
        points: scored.reduce((sum, { points }) => sum + points, 0),
        of: scored.reduce((sum, { of }) => sum + of, 0),
      },
      timing: {
        checkMs: round(checkMs),
        ...this.#timing,
        verifyMs,
        totalMs: round(Date.now() - startedAt),
      },
    };
  }

  async operate(
    operation: GuestOperation,
    names: readonly string[],
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ): Promise<void> {
    using _ = this.#listen(onEvent);
    const keepers = [...new Set(names)].map((name) => this.keeper(name));
    const work = (keeper: GuestKeeper): Promise<void> => {
      switch (operation) {
        case "restart":
          return keeper.restart(signal);
        case "start":
          return keeper.start(signal);
        case "stop":
          return keeper.stop();
        case "pause":
          return keeper.pause();
        case "resume":
          return keeper.resume();
      }
    };
    const results = await Promise.allSettled(keepers.map(work));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  async setLink(name: string, { up, impairments }: LinkChange): Promise<void> {
    const wiring = this.#wiring;
    if (wiring.link(name) === undefined) throw this.#noSuchLink(name);
    if (impairments !== undefined) await wiring.impair(name, impairments);
    if (up !== undefined) await wiring.setUp(name, up);
  }

  async addLink(addition: LinkAddition): Promise<string> {
    const wiring = this.#wiring;
    const spec = addedLink(this.#plan, wiring.links, addition);
    await wiring.addLink(spec);
    return spec.link;
  }

  async removeLink(name: string): Promise<void> {
    const wiring = this.#wiring;
    const link = wiring.link(name);
    if (link === undefined) throw this.#noSuchLink(name);
    if (link.ends.some(({ kind }) => kind === "outlet")) {
      throw new LabError("USAGE", `${name} is a way out and stays`, {
        hint: `pull it instead: uml-lab link down ${name}`,
      });
    }
    await wiring.removeLink(name);
  }

  #noSuchLink(name: string): LabError {
    return new LabError("NO_SUCH_LINK", `lab ${this.name} has no link ${name}`, {
      hint: `one of ${this.#wiring.links.map(({ link }) => link).join(", ")}`,
    });
  }

  /** Starts a capture, into a file or a FIFO in the lab's folder. */
  async startCapture(request: CaptureRequest): Promise<StartedCapture> {
    const { of } = request;
    if (of.kind === "link" && this.#wiring.link(of.link) === undefined) {
      throw this.#noSuchLink(of.link);
    }
    if (of.kind === "nic" && this.#wiring.link(of.nic) !== undefined) {
      // the cable of a TAP that is called ethN
      return this.startCapture({ ...request, of: { kind: "link", link: of.nic } });
    }
    return this.#captures.start(this.#wiring.fabric, request);
  }

  /** Null where it had ended already: its reader went away, or its file could not be written. */
  async stopCapture(capture: string): Promise<CaptureCounters | null> {
    return this.#captures.stop(this.#wiring.fabric, capture);
  }

  async status(): Promise<Omit<LabStatus, "supervisorPid">> {
    const { fabric } = this.#wiring;
    const counters = await fabric.request({ op: "counters" });
    if (counters === undefined) throw new LabError("FABRIC_FAILED", "the fabric told no counters");
    return {
      lab: this.#plan.name,
      file: this.#plan.file,
      since: this.#options.since,
      fabricPid: fabric.process.pid,
      guests: await Promise.all(this.#guests.keepers.map(statusOf)),
      counters,
    };
  }

  async save(file: string, signal: AbortSignal): Promise<SavedDisks> {
    return saveDisks(this.name, this.#options.disks(), this.#guests.keepers, file, signal);
  }

  async inspect(name: string): Promise<Inspection> {
    return inspect(this.keeper(name), this.#wiring.fabric);
  }

  /** A debugger at a guest's kernel, as long as `signal` lets it; `debug` of `RunningLab`. */
  async debug(
    request: DebugRequest,
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ): Promise<string | null> {
    const { guest } = request;
    this.#options.log(`guest ${guest}: a debugger comes`);
    try {
      return await debugGuest(this.#guests, request, signal, (target) =>
        onEvent({ type: "debug", target }),
      );
    } finally {
      this.#options.log(`guest ${guest}: the debugger is gone`);
    }
  }

  exec(guest: string, request: ExecRequest): GuestProcess {
    return this.keeper(guest).guest.exec(request);
  }

  /** Throws NO_SUCH_GUEST. */
  keeper(guest: string): GuestKeeper {
    return this.#guests.keeper(guest);
  }

  /** Ends guests and fabric; twice is harmless. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    await this.#cleanups[Symbol.asyncDispose]();
  }

  /** The same, telling of each guest. */
  async end(onEvent: OnLabEvent): Promise<void> {
    using _ = this.#listen(onEvent);
    onEvent({ type: "step", step: "stop", detail: count(this.#guests.keepers.length, "guest") });
    await this[Symbol.asyncDispose]();
  }

  get #wiring(): Wiring {
    if (this.#running !== undefined && !this.#ending) return this.#running;
    throw new LabError("FABRIC_FAILED", `lab ${this.name} is not running`);
  }

  #listen(onEvent: OnLabEvent): Disposable {
    this.#listeners.add(onEvent);
    return { [Symbol.dispose]: () => this.#listeners.delete(onEvent) };
  }

  #emit(event: Parameters<OnLabEvent>[0]): void {
    for (const listener of this.#listeners) listener(event);
  }
}
