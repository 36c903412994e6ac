/**
 * The life of a supervisor, from the connection it is born with to the last file of its lab.
 *
 *     born -> begin: claim the place, boot, judge -> serve -> down: end, remove -> exit
 *                  \-> failed, interrupted, caller gone: end, remove -> exit
 *     its fabric is killed: end the guests, write why, leave the folder for `clean` -> exit
 */

import { renameSync } from "node:fs";
import { createServer, type Server } from "node:net";
import type { Duplex } from "node:stream";
import { LabError, messageOf } from "../../base/errors.ts";
import { type ProcessRecord, recordProcess } from "../../base/processes.ts";
import type { RunningFabric } from "../../net/fabric.ts";
import type { AppliedPlan, OnLabEvent, Report } from "../api.ts";
import { type ApplyRequest, type BeginRequest, fromWirePlan } from "../control/messages.ts";
import type { OpenDisks } from "../disks/open-disks.ts";
import type { DisksWish } from "../parts.ts";
import type { LabPlan } from "../plan/plan.ts";
import {
  checkSocketPaths,
  claimPlace,
  controlPath,
  type LabRecord,
  labFolder,
  metricsPath,
  readRecord,
  recordInFolder,
  removeFolder,
  writeRecord,
} from "../run-folder.ts";
import { labExists } from "../summaries.ts";
import { Lab, type Machinery } from "./lab.ts";
import { serve } from "./server.ts";

export interface SupervisorOptions {
  /** The folder made for this lab, still without its name; the log is in it. */
  readonly prepared: string;
  readonly machinery: Machinery;
  readonly exit: (status: number) => void;
  readonly log: (message: string) => void;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #process: ProcessRecord;
  /** The folder, under whichever name it has. */
  #folder: string;
  #record: LabRecord | undefined;
  #fabric: Promise<RunningFabric> | undefined;
  #lab: Lab | undefined;
  #disks: OpenDisks | undefined;
  #server: Server | undefined;
  #down: Promise<void> | undefined;
  #crashed = false;
  #began = false;
  /** Whether the lab ends with whoever began it. */
  #tied = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#folder = options.prepared;
    this.#process = recordProcess(process.pid) as ProcessRecord;
  }

  /**
   * Serves the connection of whoever started this process: it alone may say `begin`. The fabric
   * starts at once, while the file is still being checked.
   */
  serveParent(socket: Duplex): void {
    this.#fabric = this.#options.machinery.startFabric({
      folder: this.#folder,
      signal: new AbortController().signal,
      onProcess: (record) => recordInFolder(this.#folder, "fabric", record),
      onEvent: (event) => {
        if (event.event === "log") this.#options.log(`fabric: ${event.message}`);
        else if (event.event === "nic-disconnected" && this.#down === undefined) {
          this.#options.log(`fabric: ${event.nic} disconnected: ${event.reason}`);
        }
      },
    });
    this.#fabric.catch(() => {}); // the lab awaits it
    this.#serve(socket, true);
    socket.once("close", () => {
      if (!this.#began || this.#tied) void this.#leave(0);
    });
  }

  /** Ends everything: what SIGTERM asks for. */
  async terminate(): Promise<void> {
    await this.#end(() => {}).catch((error) => this.#options.log(messageOf(error)));
    this.#options.exit(0);
  }

  #serve(socket: Duplex, mayBegin: boolean): void {
    serve(socket, {
      lab: () => this.#runningLab(),
      begin: (request, signal, onEvent) => {
        if (!mayBegin || this.#began) throw new LabError("USAGE", "this lab has begun already");
        this.#began = true;
        this.#tied = request.tied ?? false;
        return this.#begin(request, signal, onEvent);
      },
      apply: (request, signal, onEvent) => this.#apply(request, signal, onEvent),
      down: (onEvent) => this.#end(onEvent),
      log: this.#options.log,
      afterReply: (op, failed) => {
        if (op === "down" || (op === "begin" && failed)) void this.#leave(0);
      },
    });
  }

  #runningLab(): Lab {
    if (this.#lab !== undefined && this.#down === undefined) return this.#lab;
    throw new LabError(
      "SUPERVISOR_FAILED",
      `lab ${this.#record?.name ?? ""} is ${this.#down ? "ending" : "only starting"}`,
      { hint: "try again in a moment" },
    );
  }

  async #begin(request: BeginRequest, signal: AbortSignal, onEvent: OnLabEvent): Promise<Report> {
    const plan = fromWirePlan(request.plan);
    this.#claim(request);
    try {
      await this.#listen();
      await this.#openDisks(request.disks, plan, signal, onEvent);
      const lab = new Lab({
        plan,
        kernels: request.kernels,
        images: request.images,
        folder: this.#folder,
        since: (this.#record as LabRecord).since,
        fabric: this.#fabric as Promise<RunningFabric>,
        machinery: this.#options.machinery,
        passt: request.passt,
        ...(request.record === undefined ? {} : { record: request.record }),
        disks: () => this.#disks,
        ...(request.debug === undefined ? {} : { debug: request.debug }),
        log: this.#options.log,
        onProcess: (what, record) => recordInFolder(this.#folder, what, record),
        onCrash: (problem) => crash(problem),
      });
      const crashing = new AbortController();
      const crash = (problem: string) => {
        if (this.#record?.state !== "starting") void this.#crash(problem);
        else crashing.abort(new LabError("FABRIC_FAILED", `lab ${plan.name} failed: ${problem}`));
      };
      this.#lab = lab;
      const over = AbortSignal.any([signal, crashing.signal]);
      await lab.begin(over, onEvent);
      const { startedAt, checkMs } = request;
      const report = await lab.judge(over, onEvent, { startedAt, checkMs, events: true });
      over.throwIfAborted();
      this.#write({ state: "running" });
      await this.#serveMetrics(lab);
      return report;
    } catch (error) {
      await this.#end(onEvent, { failed: true });
      throw error;
    }
  }

  /**
   * Brings the lab to what the plan says, and judges it. `dryRun`: only says what that would be.
   * What fails leaves the lab running.
   */
  async #apply(
    request: ApplyRequest,
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ): Promise<AppliedPlan> {
    const lab = this.#runningLab();
    const plan = fromWirePlan(request.plan);
    const changes = lab.differenceTo(plan);
    const result = { lab: lab.name, changes };
    if (request.parts === undefined) return { ...result, report: null };
    const { kernels, images, passt, disks } = request.parts;
    await this.#openDisks(disks, plan, signal, onEvent);
    try {
      await lab.apply({ plan, kernels, images, passt }, changes, signal, onEvent);
    } finally {
      const { file, guests } = lab.plan;
      this.#write({ file, guests: guests.length });
    }
    const { startedAt, checkMs } = request;
    const judging = { startedAt, checkMs, events: false };
    return { ...result, report: await lab.judge(signal, onEvent, judging) };
  }

  /** Those that guests want: nothing where none has a disk. */
  async #openDisks(
    disks: DisksWish | undefined,
    { name, file, guests }: LabPlan,
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ): Promise<void> {
    if (disks === undefined) return;
    const { keep, fresh, resume, mke2fs } = disks;
    const onNotice = (message: string) => onEvent({ type: "notice", message });
    const wanted = Object.fromEntries(
      guests.flatMap((guest) =>
        guest.diskBytes === undefined
          ? []
          : [[guest.name, { bytes: guest.diskBytes, image: guest.image }]],
      ),
    );
    const tools = { mke2fs, signal, onNotice };
    if (this.#disks !== undefined) return this.#disks.fit(wanted, tools);
    const { openDisks } = await import("../disks/open-disks.ts");
    this.#disks = await openDisks({ lab: name, file, wanted, keep, fresh, resume, ...tools });
  }

  /** Takes the lab's place. Throws LAB_EXISTS. */
  #claim({ plan }: BeginRequest): void {
    const folder = labFolder(plan.name);
    checkSocketPaths(folder);
    this.#write({
      name: plan.name,
      file: plan.file,
      state: "starting",
      supervisor: this.#process,
      guests: plan.guests.length,
      since: new Date().toISOString(),
      problem: null,
    });
    recordInFolder(this.#folder, "supervisor", this.#process);
    if (!claimPlace(this.#folder, folder)) {
      throw labExists(plan.name, readRecord(folder));
    }
    this.#folder = folder;
  }

  async #listen(): Promise<void> {
    const server = createServer((socket) => this.#serve(socket, false));
    this.#server = server;
    // Bound under another name first: whoever finds the socket can connect to it.
    const path = controlPath(this.#folder);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(`${path}0`, resolve);
    });
    renameSync(`${path}0`, path);
  }

  async #serveMetrics(lab: Lab): Promise<void> {
    const { serveMetrics } = await import("./metrics-server.ts");
    const path = metricsPath(this.#folder);
    const status = async () => ({ ...(await lab.status()), supervisorPid: process.pid });
    await serveMetrics(path, status).catch((error: unknown) => {
      this.#options.log(`no metrics: ${messageOf(error)}`);
    });
  }

  #write(change: Partial<LabRecord>): void {
    this.#record = { ...this.#record, ...change } as LabRecord;
    writeRecord(this.#folder, this.#record);
  }

  /** Ends the lab and removes its folder; asked again, waits for the same end. */
  #end(onEvent: OnLabEvent, { failed = false } = {}): Promise<void> {
    this.#down ??= (async () => {
      if (this.#record !== undefined) this.#write({ state: "stopping" });
      try {
        await this.#lab?.end(onEvent);
        await this.#closeDisks(onEvent, failed);
        await this.#fabric?.then((fabric) => fabric[Symbol.asyncDispose]()).catch(() => {});
      } finally {
        removeFolder(this.#folder);
      }
    })();
    return this.#down;
  }

  /** Its fabric is gone: frames can't come back, so the guests end; the folder tells why. */
  async #crash(problem: string): Promise<void> {
    if (this.#crashed || this.#down !== undefined) return;
    this.#crashed = true;
    this.#options.log(problem);
    this.#write({ problem });
    this.#down = (async () => {
      await this.#lab?.[Symbol.asyncDispose]();
      await this.#closeDisks(() => {}, false);
    })();
    await this.#down.catch((error) => this.#options.log(messageOf(error)));
    this.#write({ state: "crashed" });
    this.#options.exit(4);
  }

  async #closeDisks(onEvent: OnLabEvent, failed: boolean): Promise<void> {
    const disks = this.#disks;
    if (disks === undefined) return;
    if (failed) return disks.abandon();
    await disks[Symbol.asyncDispose]();
    if (!disks.kept) return;
    const message = `its disks are kept: the next \`up\` takes them again, \`uml-lab disk list\` shows them`;
    onEvent({ type: "notice", message });
  }

  async #leave(status: number): Promise<void> {
    await this.#end(() => {}).catch((error) => this.#options.log(messageOf(error)));
    this.#server?.close();
    this.#options.exit(status);
  }
}
