/**
 * Starting, finding and mending labs: what the command line calls. Each lab is a process of its own
 * (`supervisor-main.ts`); this side checks the file, sees to kernels and images, and follows along.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { LabError } from "../base/errors.ts";
import { cacheFolder } from "../base/folders.ts";
import { isAlive, type ProcessRecord, recordProcess } from "../base/processes.ts";
import type { Image, Kernel } from "../kernel/guest/spec.ts";
import { leanHint } from "../kernel/lean-hint.ts";
import type {
  AppliedPlan,
  ApplyOptions,
  LabSummary,
  OnLabEvent,
  Report,
  RunningLab,
  UpOptions,
} from "./api.ts";
import { LabClient } from "./client.ts";
import { toWirePlan } from "./control/messages.ts";
import { CrashedLab, mendLab } from "./crashed.ts";
import { clearAbandonedDisks } from "./disks/kept.ts";
import { checkPorts } from "./free-ports.ts";
import { checkHostTaps } from "./host-taps.ts";
import { ensureParts, ensuring } from "./parts.ts";
import type { GuestPlan, LabPlan } from "./plan/plan.ts";
import {
  abandonedFolders,
  checkSocketPaths,
  labFolder,
  logPath,
  prepareFolder,
  readRecord,
  removeRunFolder,
} from "./run-folder.ts";
import { labExists, summaries } from "./summaries.ts";

/**
 * Boots the lab of a topology file, judges it, and leaves it running. Throws LabErrors of the file,
 * LAB_EXISTS, what kernels and images throw, GUEST_BOOT, GUEST_SETUP, FABRIC_FAILED, INTERRUPTED;
 * then nothing of the lab is left.
 */
export async function upLab(options: UpOptions): Promise<{ lab: RunningLab; report: Report }> {
  options.onEvent({ type: "step", step: "check", detail: options.file });
  return upPlan(options, () => readPlan(options.file));
}

/** The same of a plan that is at hand, or is made while the lab's process starts. */
export async function upPlan(
  options: Omit<UpOptions, "file">,
  makePlan: () => LabPlan | Promise<LabPlan>,
  examine: (images: Readonly<Record<string, Image>>) => void = () => {},
): Promise<{ lab: RunningLab; report: Report }> {
  const { signal, startedAt, debug } = options;
  let onEvent = options.onEvent;
  // It starts while the file is checked; where that fails it ends without having done anything.
  const supervisor = new StartingSupervisor();
  const undebuggable = new AbortController();
  let debugging: Promise<void> = Promise.resolve();
  try {
    const plan = await makePlan();
    checkSocketPaths(labFolder(plan.name));
    await makeRoom(plan.name, onEvent);
    await checkPorts(plan);
    await checkHostTaps(plan);
    const checkMs = Date.now() - startedAt;
    if (debug !== undefined) checkGuest(plan, debug.guest);
    const parts = await ensureParts(plan, options);
    const { kernels, images } = parts;
    examine(images);
    signal.throwIfAborted();
    const hint = leanHint(kernels.auto);
    if (hint !== undefined) onEvent({ type: "notice", message: hint });
    const lab = supervisor.connect(plan.name);
    if (debug !== undefined) {
      const guest = plan.guests.find(({ name }) => name === debug.guest) as GuestPlan;
      await debug.prepare(kernels[guest.kernel] as Kernel, ensuring(options));
      onEvent = (event) => {
        if (event.type !== "held") return options.onEvent(event);
        debugging = debug.debug(lab);
        debugging.catch((error: unknown) => undebuggable.abort(error));
      };
    }
    const report = await lab.request(
      {
        op: "begin",
        plan: toWirePlan(plan),
        ...parts,
        startedAt,
        checkMs,
        ...(options.record === undefined ? {} : { record: options.record }),
        ...(options.tied === undefined ? {} : { tied: options.tied }),
        ...(debug === undefined ? {} : { debug: debug.guest }),
      },
      { onEvent, signal: AbortSignal.any([signal, undebuggable.signal]) },
    );
    await debugging;
    supervisor.release();
    return { lab, report: report as Report };
  } catch (thrown) {
    const error = await supervisor.end(
      undebuggable.signal.aborted ? undebuggable.signal.reason : thrown,
    );
    await debugging.catch(() => {}); // it has the terminal until its lab is gone
    if (signal.aborted && !(error instanceof LabError && error.code === "INTERRUPTED")) {
      throw new LabError("INTERRUPTED", "interrupted", { cause: error });
    }
    throw error;
  }
}

/** Up, judge, down. */
export async function testLab(options: UpOptions): Promise<Report> {
  const { lab, report } = await upLab(options);
  await lab.down(options.onEvent);
  return report;
}

export async function listLabs(): Promise<LabSummary[]> {
  return summaries();
}

/** The lab of this name or topology file, or the only one. Throws NO_SUCH_LAB. */
export async function findLab(nameOrFile?: string): Promise<RunningLab> {
  const all = summaries();
  const found = nameOrFile === undefined ? only(all) : matching(all, nameOrFile);
  return found.state === "crashed"
    ? new CrashedLab(found)
    : LabClient.connect(found.name, labFolder(found.name));
}

/** Brings the lab of a topology file to what the file says now. Throws NO_SUCH_LAB where it does not run. */
export async function applyLab(options: ApplyOptions): Promise<AppliedPlan> {
  const { applyFile } = await import("./apply-file.ts");
  return applyFile(options, async ({ name }) => {
    if (summaries().some((lab) => lab.name === name)) return findLab(name);
    throw new LabError("NO_SUCH_LAB", `lab ${name} is not running`, {
      hint: `uml-lab up ${options.file}`,
    });
  });
}

/**
 * Ends and removes what crashed labs left; with `cache`, kernels, images and tools as well, if no
 * lab uses them.
 */
export async function cleanUp(options: { cache: boolean }, onEvent: OnLabEvent): Promise<void> {
  for (const { name, state, problem } of summaries()) {
    if (state !== "crashed") continue;
    onEvent({ type: "step", step: "clean", detail: `lab ${name}: ${problem ?? "crashed"}` });
    await mendLab(name);
  }
  for (const folder of abandonedFolders(isAlive)) {
    onEvent({ type: "step", step: "clean", detail: folder });
    rmSync(folder, { recursive: true, force: true });
  }
  removeRunFolder();
  for (const folder of clearAbandonedDisks()) {
    onEvent({ type: "step", step: "clean", detail: folder });
  }
  if (!options.cache) return;
  const running = summaries();
  if (running.length > 0) {
    throw new LabError(
      "USAGE",
      `the cache is in use by ${running.map(({ name }) => name).join(", ")}`,
      { hint: "uml-lab down --all" },
    );
  }
  for (const room of CACHE_ROOMS) {
    const folder = join(cacheFolder(), room);
    onEvent({ type: "step", step: "clean", detail: folder });
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Only what is ours: somebody may have pointed the cache at a folder with other things in it. */
const CACHE_ROOMS = [
  ...["kernels", "builds", "images", "tools", "packages"],
  ...["initramfs", "programs", "symbols", "locks", "grades"],
];

async function readPlan(file: string): Promise<LabPlan> {
  const { planFile } = await import("./plan/plan-file.ts");
  return planFile(file, process.env, { toRun: true });
}

/** Refuses when the lab runs; removes what an earlier one left when it crashed. */
async function makeRoom(name: string, onEvent: OnLabEvent): Promise<void> {
  const found = summaries().find((lab) => lab.name === name);
  if (found === undefined) return;
  if (found.state !== "crashed") throw labExists(name, readRecord(labFolder(name)));
  onEvent({ type: "notice", message: `removing what is left of ${name}: ${found.problem}` });
  await mendLab(name);
}

function checkGuest({ name, guests }: LabPlan, guest: string): void {
  if (guests.some((one) => one.name === guest)) return;
  throw new LabError("NO_SUCH_GUEST", `lab ${name} has no guest ${guest}`, {
    hint: `one of ${guests.map((one) => one.name).join(", ")}`,
  });
}

/** A supervisor's process before its lab stands: it ends with the connection it was born with. */
class StartingSupervisor {
  readonly #prepared: string;
  readonly #log: number;
  readonly #socket: Duplex;
  readonly #child: ChildProcess;
  readonly #exited: Promise<string>;
  #client: LabClient | undefined;

  constructor() {
    this.#prepared = prepareFolder(recordProcess(process.pid) as ProcessRecord);
    this.#log = openSync(logPath(this.#prepared), "a+", 0o600);
    const main = fileURLToPath(new URL("./supervisor-main.js", import.meta.url));
    const child = spawn(process.execPath, [main, this.#prepared], {
      detached: true,
      cwd: "/",
      stdio: ["ignore", this.#log, this.#log, "pipe"],
    });
    this.#child = child;
    this.#exited = new Promise<string>((resolve) => {
      child.once("exit", (code, signal) => resolve(signal ?? `status ${code}`));
      child.once("error", (error) => resolve(error.message));
    });
    this.#socket = child.stdio[3] as unknown as Duplex;
    this.#socket.on("error", () => {}); // its exit tells
  }

  connect(name: string): LabClient {
    this.#client = new LabClient(this.#socket, name, labFolder(name));
    return this.#client;
  }

  /** The lab stands: it lives on without us. */
  release(): void {
    this.#child.unref();
    closeSync(this.#log);
  }

  /** Ends it, and answers the error to throw: what its log says where it died by itself. */
  async end(error: unknown): Promise<unknown> {
    if (this.#client === undefined) this.#socket.destroy();
    else await this.#client[Symbol.asyncDispose]();
    const how = await this.#exited;
    const text = readFileSync(`/proc/self/fd/${this.#log}`, "utf8").trim().slice(-2000);
    this.release();
    rmSync(this.#prepared, { recursive: true, force: true });
    removeRunFolder();
    if (!(error instanceof LabError && error.code === "SUPERVISOR_FAILED")) return error;
    return new LabError(
      "SUPERVISOR_FAILED",
      `the lab's supervisor ended (${how})${text && `:\n${text}`}`,
      { cause: error },
    );
  }
}

function only(all: readonly LabSummary[]): LabSummary {
  const [first, ...rest] = all;
  if (first === undefined) {
    throw new LabError("NO_SUCH_LAB", "no lab is running", { hint: "uml-lab up FILE" });
  }
  if (rest.length > 0) {
    throw new LabError("USAGE", `${all.length} labs are running, and none was named`, {
      hint: `name one of: ${all.map(({ name }) => name).join(", ")}`,
    });
  }
  return first;
}

function matching(all: readonly LabSummary[], nameOrFile: string): LabSummary {
  const file = isAbsolute(nameOrFile) ? nameOrFile : resolve(nameOrFile);
  const found = all.find(({ name }) => name === nameOrFile) ?? all.find((lab) => lab.file === file);
  if (found !== undefined) return found;
  const running = all.map(({ name }) => name).join(", ");
  throw new LabError("NO_SUCH_LAB", `no lab ${nameOrFile} is running`, {
    hint: running === "" ? "uml-lab up FILE; uml-lab ps" : `running: ${running}`,
  });
}
