/**
 * Starting, finding and mending labs: what the command line calls. Each lab is a process of its own
 * (`supervisor-main.ts`); this side checks the file, sees to kernels and images, and follows along.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { LabError, LabErrors } from "../base/errors.ts";
import { cacheFolder } from "../base/folders.ts";
import { isAlive, type ProcessRecord, recordProcess } from "../base/processes.ts";
import type { Image, Kernel } from "../kernel/guest/spec.ts";
import { leanHint } from "../kernel/lean-hint.ts";
import type { EnsureOptions } from "../kernel/progress.ts";
import type { LabSummary, OnLabEvent, Report, RunningLab, UpOptions } from "./api.ts";
import { LabClient } from "./client.ts";
import { type DisksWish, toWirePlan } from "./control/messages.ts";
import { CrashedLab, mendLab } from "./crashed.ts";
import { clearAbandonedDisks } from "./disks/kept.ts";
import { checkPorts } from "./free-ports.ts";
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
    const checkMs = Date.now() - startedAt;
    if (debug !== undefined) checkGuest(plan, debug.guest);
    const ensuring = { signal, onProgress: progressTo(onEvent) };
    const [{ kernels, images, passt }, disks] = await Promise.all([
      ensureParts(plan, ensuring),
      disksWish(plan, options, ensuring),
    ]);
    examine(images);
    signal.throwIfAborted();
    const hint = leanHint(kernels.auto);
    if (hint !== undefined) onEvent({ type: "notice", message: hint });
    const lab = supervisor.connect(plan.name);
    if (debug !== undefined) {
      const guest = plan.guests.find(({ name }) => name === debug.guest) as GuestPlan;
      await debug.prepare(kernels[guest.kernel] as Kernel, ensuring);
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
        kernels,
        images,
        startedAt,
        checkMs,
        ...(passt === undefined ? {} : { passt }),
        ...(options.record === undefined ? {} : { record: options.record }),
        ...(options.tied === undefined ? {} : { tied: options.tied }),
        ...(disks === undefined ? {} : { disks }),
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
  const [{ readTopology }, { makePlan }, { notYet }] = await Promise.all([
    import("./topology/read.ts"),
    import("./plan/make-plan.ts"),
    import("./topology/not-yet.ts"),
  ]);
  const topology = await readTopology(file, process.env);
  const missing = notYet(topology);
  if (missing.length > 0) throw new LabErrors(missing);
  return makePlan(topology);
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

interface Parts {
  readonly kernels: Record<string, Kernel>;
  readonly images: Record<string, Image>;
  /** The program behind ways out, where there are any. */
  readonly passt: string | undefined;
}

async function ensureParts(plan: LabPlan, options: EnsureOptions): Promise<Parts> {
  const [{ ensureKernel }, { ensureImage }] = await Promise.all([
    import("../kernel/kernels.ts"),
    import("../kernel/images.ts"),
  ]);
  const all = async <T>(names: Iterable<string>, ensure: (name: string) => Promise<T>) =>
    Object.fromEntries(
      await Promise.all([...new Set(names)].map(async (name) => [name, await ensure(name)])),
    ) as Record<string, T>;
  const [kernels, images, passt] = await Promise.all([
    all(
      plan.guests.map(({ kernel }) => kernel),
      (choice) => ensureKernel(choice, options),
    ),
    all(
      plan.guests.map(({ image }) => image),
      (reference) => ensureImage(reference, options),
    ),
    plan.guests.some(({ outlet }) => outlet !== null)
      ? import("../kernel/tools.ts").then(({ ensureTool }) => ensureTool("passt", options))
      : undefined,
  ]);
  return { kernels, images, passt };
}

/** What the command asked for guests' disks. Throws USAGE where there is nothing to ask it for. */
async function disksWish(
  { guests, file }: LabPlan,
  { keep = false, fresh = false, resume }: Pick<UpOptions, "keep" | "fresh" | "resume">,
  options: EnsureOptions,
): Promise<DisksWish | undefined> {
  if (guests.every(({ diskBytes }) => diskBytes === undefined)) {
    if (!keep && !fresh && resume === undefined) return undefined;
    const asked = keep ? "--keep" : fresh ? "--fresh" : "--resume";
    throw new LabError("USAGE", `${asked}: no guest of ${file} has a disk`, {
      hint: "give a guest one: `disk: 1G`",
    });
  }
  const { ensureTool } = await import("../kernel/tools.ts");
  const mke2fs = await ensureTool("mke2fs", options);
  return { keep, fresh, mke2fs, ...(resume === undefined ? {} : { resume }) };
}

function progressTo(onEvent: OnLabEvent): NonNullable<EnsureOptions["onProgress"]> {
  return (progress) => onEvent({ type: "progress", ...progress });
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
