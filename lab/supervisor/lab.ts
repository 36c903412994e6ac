/**
 * One lab from the inside: its fabric, its guests, and what is asked of them. It is made by `begin`,
 * and ends by disposing, by a crash of its fabric, or with its process.
 *
 *     fabric <- NICs, switches, links     guests <- keepers     judge <- guests' own kernels
 */

import { execFile } from "node:child_process";
import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { parseIp } from "../../base/addresses.ts";
import { Cleanups } from "../../base/cleanups.ts";
import { LabError } from "../../base/errors.ts";
import type { ProcessRecord } from "../../base/processes.ts";
import { count } from "../../base/units.ts";
import type { NicDevice } from "../../kernel/guest/inspect/devices.ts";
import type {
  BootOptions,
  ExecRequest,
  GuestProcess,
  GuestSpec,
  Image,
  Kernel,
  RunningGuest,
} from "../../kernel/guest/spec.ts";
import {
  type CaptureCounters,
  endName,
  type FabricCounters,
  type Impairment,
  type LinkEnd,
  type LinkSpec,
  type WatchSpec,
} from "../../net/control/messages.ts";
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
  Timeline,
} from "../api.ts";
import type { GuestOperation, LinkChange } from "../control/messages.ts";
import type { OpenDisks } from "../disks/open-disks.ts";
import { writeSave } from "../disks/save.ts";
import { Explainer, type ExplainRequest } from "../explain/explain.ts";
import type { Explanation } from "../explain/explanation.ts";
import { explainFailures } from "../explain/failures.ts";
import { judgeChecks } from "../judge/checks.ts";
import { judgeClaims } from "../judge/claims.ts";
import { fpingRequest, parseFping } from "../judge/fping.ts";
import { judgeReachability } from "../judge/reachability.ts";
import { Limiter } from "../limiter.ts";
import type { ExpectPlan } from "../plan/expect-plan.ts";
import { type OutletPlan, setupWithOutlet } from "../plan/outlets.ts";
import type { GuestPlan, LabPlan } from "../plan/plan.ts";
import { guestFolder, nicPath } from "../run-folder.ts";
import { addedLink } from "./added-link.ts";
import { claimProbes, type ProbeHouse } from "./claim-probes.ts";
import { runFlow } from "./flows.ts";
import { GuestKeeper } from "./guest-keeper.ts";
import { instrumentsOf } from "./instruments.ts";
import { RouteWatch } from "./route-watch.ts";
import { runCheck } from "./run-check.ts";
import { playScenario } from "./scenario.ts";
import { allowedCpus, usageOf } from "./usage.ts";
import { openWayOut, wayOutLink } from "./ways-out.ts";
import { within } from "./within.ts";

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
  readonly passt?: string;
  readonly since: string;
  readonly fabric: Promise<RunningFabric>;
  readonly machinery: Machinery;
  /** A folder where every frame is recorded. */
  readonly record?: string;
  /** Absent where no guest has a disk. */
  readonly disks?: OpenDisks;
  readonly onProcess: (what: string, record: ProcessRecord) => void;
  /** The fabric is gone, unasked. */
  readonly onCrash: (problem: string) => void;
  readonly log: (message: string) => void;
}

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

const CLOCK = {
  now: () => performance.now(),
  sleep: async (ms: number, signal: AbortSignal) => {
    await sleep(ms, undefined, { signal });
  },
};

export class Lab implements AsyncDisposable {
  readonly #options: LabOptions;
  readonly #plan: LabPlan;
  readonly #cpus = allowedCpus();
  readonly #keepers = new Map<string, GuestKeeper>();
  readonly #links: Map<string, LinkSpec>;
  readonly #owners = new Map<string, string>();
  readonly #cleanups = new Cleanups();
  readonly #listeners = new Set<OnLabEvent>();
  #fabric: RunningFabric | undefined;
  #timing: BootTiming = { bootMs: 0, readyMs: 0 };
  #ending = false;
  #lastCapture = 0;

  constructor(options: LabOptions) {
    this.#options = options;
    this.#plan = options.plan;
    this.#links = new Map(
      [
        ...options.plan.links,
        ...options.plan.guests.flatMap(({ name, outlet }) => (outlet ? [wayOutLink(name)] : [])),
      ].map((link) => [link.link, link]),
    );
    for (const guest of options.plan.guests) {
      for (const { addresses } of guest.setup.interfaces) {
        for (const address of addresses) {
          this.#owners.set(address.slice(0, address.indexOf("/")), guest.name);
        }
      }
    }
  }

  get name(): string {
    return this.#plan.name;
  }

  /** Starts the fabric and boots every guest; throws the first failure when all have stopped. */
  async begin(signal: AbortSignal, onEvent: OnLabEvent): Promise<void> {
    using _ = this.#listen(onEvent);
    const { machinery, kernels, images } = this.#options;
    const startedAt = performance.now();
    const prepared = machinery.prepare(
      [...new Set(Object.values(kernels))],
      [...new Set(Object.values(images))],
    );
    prepared.catch(() => {}); // awaited below
    const sockets = await this.#wire(signal);
    await prepared;

    onEvent({ type: "step", step: "boot", detail: count(this.#plan.guests.length, "guest") });
    const boots = new Limiter(bootsAtOnce(this.#cpus.length));
    const first = new AbortController();
    const over = AbortSignal.any([signal, first.signal]);
    let agentsAt = startedAt;
    for (const [index, guest] of this.#plan.guests.entries()) {
      const keeper = new GuestKeeper({
        spec: this.#specOf(guest, index, sockets.get(guest.name) ?? []),
        boot: machinery.bootGuest,
        boots,
        onProcess: (record) => this.#options.onProcess(`guest ${guest.name}`, record),
        onState: (name, state, ms) => {
          if (state === "agent") agentsAt = performance.now();
          this.#emit({ type: "guest", guest: name, state, ...(ms === undefined ? {} : { ms }) });
          if (!this.#ending) this.#options.log(`guest ${name}: ${state}`);
        },
      });
      this.#keepers.set(guest.name, keeper);
    }
    // Guests end at the same time, before their fabric.
    this.#cleanups.defer("end the guests", async () => {
      await Promise.all([...this.#keepers.values()].map((keeper) => keeper[Symbol.asyncDispose]()));
    });
    const results = await Promise.allSettled(
      [...this.#keepers.values()].map((keeper) =>
        keeper.start(over).catch((error: unknown) => {
          first.abort(error); // a lab with a guest missing is none: stop the others
          throw error;
        }),
      ),
    );
    signal.throwIfAborted();
    if (results.some(({ status }) => status === "rejected")) throw first.signal.reason;
    this.#timing = {
      bootMs: round(agentsAt - startedAt),
      readyMs: round(performance.now() - startedAt),
    };
  }

  async #wire(signal: AbortSignal): Promise<Map<string, string[]>> {
    const { folder } = this.#options;
    this.#emit({ type: "step", step: "wire", detail: count(this.#plan.links.length, "link") });
    const fabric = await this.#options.fabric;
    signal.throwIfAborted();
    this.#fabric = fabric;
    this.#cleanups.defer("end the fabric", async () => fabric[Symbol.asyncDispose]());
    void fabric.exited.then(({ code, signal: by }) => {
      if (this.#ending) return;
      const how = by === null ? `ended with status ${code}` : `was ended by ${by}`;
      this.#options.onCrash(`its fabric (process ${fabric.process.pid}) ${how}`);
    });
    const sockets = new Map<string, string[]>();
    const requests: Promise<unknown>[] = [];
    const opening: Promise<void>[] = [];
    let nics = 0;
    if (this.#options.record !== undefined) {
      const path = join(this.#options.record, `${this.name}.pcapng`);
      const spec = { capture: "record", of: { kind: "all" as const }, output: { path } };
      requests.push(fabric.request({ op: "capture-start", spec }));
    }
    for (const spec of this.#plan.switches) {
      requests.push(fabric.request({ op: "add-switch", spec }));
    }
    for (const guest of this.#plan.guests) {
      const paths = guest.setup.interfaces.map(({ name, mac, mtu }) => {
        const socketPath = nicPath(folder, nics++);
        const nic = `${guest.name}:${name}`;
        requests.push(fabric.request({ op: "add-nic", spec: { nic, socketPath, mac, mtu } }));
        return socketPath;
      });
      if (guest.outlet !== null) paths.push(this.#openWayOut(guest, guest.outlet, nics++, opening));
      sockets.set(guest.name, paths);
    }
    for (const spec of this.#plan.links) requests.push(fabric.request({ op: "add-link", spec }));
    for (const spec of watchesOf(this.#plan)) {
      requests.push(fabric.request({ op: "watch-start", spec }));
    }
    await Promise.all(requests);
    await Promise.all(opening);
    return sockets;
  }

  /** Answers the path of the socket of its NIC. */
  #openWayOut(
    { name: guest }: GuestPlan,
    outlet: OutletPlan,
    index: number,
    opening: Promise<void>[],
  ): string {
    const { folder, passt = "passt", onProcess, log } = this.#options;
    const fabric = this.#fabric as RunningFabric;
    const open = async () => {
      const way = { guest, outlet, program: passt, folder, index, fabric, onProcess };
      const running = await openWayOut(way);
      this.#cleanups.defer(`end the way out of ${guest}`, () => running[Symbol.asyncDispose]());
      void running.exited.then((how) => {
        if (!this.#ending) log(`the way out of ${guest} is gone: passt ended (${how})`);
      });
    };
    const opened = open();
    opened.catch(() => {}); // awaited with the others
    opening.push(opened);
    return nicPath(folder, index);
  }

  #specOf(guest: GuestPlan, index: number, nicSockets: readonly string[]): GuestSpec {
    const image = this.#options.images[guest.image] as Image;
    return {
      name: guest.name,
      kernel: this.#options.kernels[guest.kernel] as Kernel,
      image,
      memoryBytes: guest.memoryBytes ?? image.defaultMemoryBytes,
      isolation: guest.isolation,
      cpu: this.#cpus[index % this.#cpus.length],
      nicSockets,
      disk: this.#options.disks?.fileOf(guest.name),
      folder: guestFolder(this.#options.folder, guest.name),
      setup: setupWithOutlet(guest.setup, guest.outlet),
    };
  }

  /** Measures and judges; with `events`, plays the scenario too. Throws the signal's reason. */
  async judge(
    signal: AbortSignal,
    onEvent: OnLabEvent,
    { startedAt, checkMs, events }: JudgeOptions,
  ): Promise<Report> {
    const verifyStartedAt = performance.now();
    const found = await this.#assess(this.#plan, signal, onEvent);
    const reachability = await this.explainFailures(found.reachability, signal);
    const verifyMs = round(performance.now() - verifyStartedAt);
    const withEvents = events && this.#plan.events.length > 0;
    const timeline = withEvents ? await this.#play(signal, onEvent) : null;
    const { checks, expectations } = found;
    const scored = [...checks, ...expectations, ...(timeline?.events ?? [])];
    const judged = [...reachability, ...scored];
    return {
      lab: this.#plan.name,
      verdict: judged.every(({ ok }) => ok) ? "pass" : "fail",
      guests: [...this.#keepers.values()].map((keeper) => ({
        name: keeper.name,
        state: keeper.state,
        pid: keeper.process?.pid ?? null,
        bootMs: keeper.bootMs === null ? null : round(keeper.bootMs),
        kernel: keeper.spec.kernel.release,
        interfaces: interfacesOf(keeper.spec),
      })),
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

  /**
   * What holds of expectations that the plan did not name. Frames count from now on, and are awaited
   * until `withinMs` is over where it is given. @param name tells its watches from others.
   */
  async assess(
    expect: ExpectPlan,
    { name, withinMs }: { readonly name: string; readonly withinMs?: number | undefined },
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ): Promise<Pick<Report, "reachability" | "checks" | "expectations">> {
    const fabric = this.#runningFabric();
    const own = {
      ...expect,
      claims: expect.claims.map((claim) =>
        claim.kind === "sees" ? { ...claim, watch: `${name}: ${claim.watch}` } : claim,
      ),
    };
    const specs = watchesOf(own);
    try {
      for (const spec of specs) await fabric.request({ op: "watch-start", spec });
      return await this.#assess(own, signal, onEvent, withinMs !== undefined);
    } finally {
      for (const { watch } of specs) {
        await fabric.request({ op: "watch-stop", watch }).catch(() => {});
      }
    }
  }

  async #play(signal: AbortSignal, onEvent: OnLabEvent): Promise<Timeline> {
    const { events } = this.#plan;
    onEvent({ type: "step", step: "events", detail: count(events.length, "event") });
    const quiet: OnLabEvent = () => {};
    const house = this.#probeHouse(signal);
    return playScenario({
      events,
      clock: CLOCK,
      signal,
      onEvent: ({ name }) => onEvent({ type: "step", step: "event", detail: name }),
      setLink: ({ link, change }) => this.#changeLink(link, change),
      operate: ({ operation, guests }) => this.operate(operation, guests, signal, onEvent),
      run: (guest, command) =>
        runCheck(() => this.#keeper(guest).guest, command, LONGEST_COMMAND_MS, signal),
      assess: (expect, name, withinMs) => this.assess(expect, { name, withinMs }, signal, quiet),
      explain: (results) => this.explainFailures(results, signal),
      flow: (flow, originMs) => runFlow(house, flow, originMs),
    });
  }

  /** Impairments that are not named stay as they are. */
  async #changeLink(
    name: string,
    { up, set }: { readonly up?: boolean; readonly set?: Impairment },
  ): Promise<void> {
    const [there, back] = this.#links.get(name)?.impairments ?? [{}, {}];
    await this.setLink(name, {
      ...(up === undefined ? {} : { up }),
      ...(set === undefined
        ? {}
        : {
            impairments: [
              { ...there, ...set },
              { ...back, ...set },
            ],
          }),
    });
  }

  /** Undefined where no guest runs a routing daemon: then routes stay as they are. */
  #routeWatch(): RouteWatch | undefined {
    const routed = this.#plan.guests.filter(({ setup }) => setup.services.length > 0);
    if (routed.length === 0) return undefined;
    const ready = () =>
      routed.flatMap(({ name }) => {
        const keeper = this.#keeper(name);
        return keeper.obstacle === undefined ? [keeper.guest] : [];
      });
    return new RouteWatch(ready, CLOCK);
  }

  #probeHouse(signal: AbortSignal): ProbeHouse {
    return {
      guest: (name) => this.#keeper(name).guest,
      fabric: this.#runningFabric(),
      signal,
      log: this.#options.log,
    };
  }

  /** What holds of a plan's expectations. Throws the signal's reason. */
  async #assess(
    { pairs, checks: wanted, claims, settleMs }: ExpectPlan,
    signal: AbortSignal,
    onEvent: OnLabEvent,
    untilTheEnd = false,
  ): Promise<Pick<Report, "reachability" | "checks" | "expectations">> {
    onEvent({ type: "step", step: "verify", detail: count(pairs.length, "pair") });
    const routes = this.#routeWatch();
    const clock = routes?.clock ?? CLOCK;
    const reachability = await judgeReachability({
      pairs,
      settleMs,
      probe: (guest, addresses, timeoutMs) => this.#probe(guest, addresses, timeoutMs, signal),
      obstacle: (guest) => this.#keeper(guest).obstacle,
      ownerOf: (address) => this.#owners.get(address),
      atOnce: probesAtOnce(this.#cpus.length),
      clock,
      ...(routes === undefined ? {} : { quiet: (mostMs) => routes.quiet(mostMs, signal) }),
      signal,
      onProgress: (probed, of, reached) => onEvent({ type: "reachability", probed, of, reached }),
    });
    const checks = await judgeChecks({
      checks: wanted,
      run: (guest, command, timeoutMs) =>
        runCheck(() => this.#keeper(guest).guest, command, timeoutMs, signal),
      clock,
      signal,
      onCheck: ({ name, ok }) =>
        onEvent({ type: "step", step: "check", detail: `${name}: ${ok ? "ok" : "failed"}` }),
    });
    const expectations = await judgeClaims({
      claims,
      settleMs,
      untilTheEnd,
      probes: claimProbes(this.#probeHouse(signal)),
      clock,
      signal,
      onClaim: ({ name, ok }) =>
        onEvent({ type: "step", step: "check", detail: `${name}: ${ok ? "ok" : "failed"}` }),
    });
    return { reachability, checks, expectations };
  }

  async #probe(
    guest: string,
    addresses: readonly string[],
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<ReturnType<typeof parseFping>> {
    const { command, input } = fpingRequest(addresses, timeoutMs);
    const mostMs = timeoutMs + 2 * addresses.length + PROBER_SPARE_MS;
    try {
      const run = this.#keeper(guest).guest.run({ command }, input === undefined ? {} : { input });
      return parseFping(addresses, await within(run, mostMs, signal));
    } catch (error) {
      signal.throwIfAborted();
      // It died, was stopped or hangs while it probes: the judge asks for its state.
      if (error instanceof LabError && error.code === "GUEST_FAILED") return new Map();
      if (!(error instanceof LabError && error.code === "TIMEOUT")) throw error;
      const refusal = { text: `its prober did not end within ${mostMs} ms`, from: null };
      return new Map(addresses.map((address) => [address, { rttMs: null, refusal }]));
    }
  }

  async operate(
    operation: GuestOperation,
    names: readonly string[],
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ): Promise<void> {
    using _ = this.#listen(onEvent);
    const keepers = [...new Set(names)].map((name) => this.#keeper(name));
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
    const fabric = this.#runningFabric();
    const link = this.#links.get(name);
    if (link === undefined) {
      throw this.#noSuchLink(name);
    }
    if (impairments !== undefined) {
      await fabric.request({ op: "set-link", link: name, impairments });
      this.#links.set(name, { ...link, impairments });
    }
    if (up !== undefined) await fabric.request({ op: "link-state", link: name, up });
  }

  async addLink(addition: LinkAddition): Promise<string> {
    const fabric = this.#runningFabric();
    const spec = addedLink(this.#plan, this.#links.values(), addition);
    this.#links.set(spec.link, spec);
    try {
      await fabric.request({ op: "add-link", spec });
    } catch (error) {
      this.#links.delete(spec.link);
      throw error;
    }
    return spec.link;
  }

  async removeLink(name: string): Promise<void> {
    const fabric = this.#runningFabric();
    const link = this.#links.get(name);
    if (link === undefined) throw this.#noSuchLink(name);
    if (link.ends.some(({ kind }) => kind === "outlet")) {
      throw new LabError("USAGE", `${name} is a way out and stays`, {
        hint: `pull it instead: uml-lab link down ${name}`,
      });
    }
    await fabric.request({ op: "remove-link", link: name });
    this.#links.delete(name);
  }

  #noSuchLink(name: string): LabError {
    return new LabError("NO_SUCH_LINK", `lab ${this.name} has no link ${name}`, {
      hint: `one of ${[...this.#links.keys()].join(", ")}`,
    });
  }

  /** Starts a capture, into a file or a FIFO in the lab's folder. */
  async startCapture({
    file,
    rotateBytes,
    keepFiles,
    ...what
  }: CaptureRequest): Promise<StartedCapture> {
    const fabric = this.#runningFabric();
    if (what.of.kind === "link" && !this.#links.has(what.of.link)) {
      throw new LabError("NO_SUCH_LINK", `lab ${this.name} has no link ${what.of.link}`, {
        hint: `one of ${[...this.#links.keys()].join(", ")}`,
      });
    }
    const capture = `c${++this.#lastCapture}`;
    const path = file ?? join(this.#options.folder, `${capture}.fifo`);
    if (file === null) await promisify(execFile)("mkfifo", ["-m", "600", path]);
    const output = {
      path,
      ...(rotateBytes === undefined ? {} : { rotateBytes }),
      ...(keepFiles === undefined ? {} : { keepFiles }),
    };
    try {
      await fabric.request({ op: "capture-start", spec: { capture, output, ...what } });
    } catch (error) {
      if (file === null) rmSync(path, { force: true });
      throw error;
    }
    return { capture, path };
  }

  /** Null where it had ended already: its reader went away, or its file could not be written. */
  async stopCapture(capture: string): Promise<CaptureCounters | null> {
    const fabric = this.#runningFabric();
    const counters = await fabric.request({ op: "counters" });
    const found = counters?.captures?.find((one) => one.capture === capture);
    if (found !== undefined) await fabric.request({ op: "capture-stop", capture });
    rmSync(join(this.#options.folder, `${capture}.fifo`), { force: true });
    return found ?? null;
  }

  async status(): Promise<Omit<LabStatus, "supervisorPid">> {
    const fabric = this.#runningFabric();
    const counters = await fabric.request({ op: "counters" });
    if (counters === undefined) throw new LabError("FABRIC_FAILED", "the fabric told no counters");
    const guests = await Promise.all(
      [...this.#keepers.values()].map(async (keeper) => {
        const { process, spec } = keeper;
        const usage = process === null ? undefined : await usageOf(process);
        return {
          name: keeper.name,
          state: keeper.state,
          pid: process?.pid ?? null,
          image: spec.image.reference,
          kernel: spec.kernel.release,
          memoryBytes: spec.memoryBytes,
          residentBytes: usage?.residentBytes ?? null,
          cpuSeconds: usage?.cpuSeconds ?? null,
          bootMs: keeper.bootMs === null ? null : round(keeper.bootMs),
          interfaces: interfacesOf(spec),
        };
      }),
    );
    return {
      lab: this.#plan.name,
      file: this.#plan.file,
      since: this.#options.since,
      fabricPid: fabric.process.pid,
      guests,
      counters,
    };
  }

  /** The disks as they are at one moment: every guest has written out, then all stand still. */
  async save(file: string, signal: AbortSignal): Promise<SavedDisks> {
    const { disks } = this.#options;
    if (disks === undefined) {
      throw new LabError("USAGE", `no guest of lab ${this.name} has a disk`, {
        hint: "what a guest writes without one is RAM; write `disk: 1G`",
      });
    }
    const running = [...this.#keepers.values()].filter(({ state }) => state === "ready");
    const flush = ({ guest }: GuestKeeper) =>
      within(guest.run({ command: ["sync"] }), SYNC_MS, signal).catch(() => {
        signal.throwIfAborted(); // one that hangs is saved as it is
      });
    await Promise.all(running.map(flush));
    await Promise.all(running.map((keeper) => keeper.pause()));
    try {
      await writeSave(disks.folder, disks.record(), file, signal);
    } finally {
      await Promise.all(running.map((keeper) => keeper.resume()));
    }
    return {
      lab: this.name,
      file,
      bytes: statSync(file).size,
      disks: Object.keys(disks.record().disks),
    };
  }

  async inspect(name: string): Promise<Inspection> {
    const keeper = this.#keeper(name);
    const { process, spec } = keeper;
    if (process === null) throw new LabError("GUEST_FAILED", keeper.obstacle ?? `${name} is gone`);
    const [{ inspectGuest }, counters] = await Promise.all([
      import("../../kernel/guest/inspect/inspect.ts"),
      this.#runningFabric().request({ op: "counters" }),
    ]);
    const { nics, ...guest } = await inspectGuest({
      spec,
      process,
      run: async (request) => within(keeper.guest.run(request), INSPECT_MS, NEVER),
    });
    return {
      ...guest,
      state: keeper.state,
      nics: nics.map((nic) => pluggedIn(nic, `${name}:${nic.name}`, counters)),
    };
  }

  /** Why a guest does or does not reach another. Throws NO_SUCH_GUEST. */
  async explain(request: ExplainRequest, signal: AbortSignal): Promise<Explanation> {
    this.#keeper(request.from);
    if (parseIp(request.to) === undefined) this.#keeper(request.to);
    return (await this.#explainer(signal)).explain(request);
  }

  /** The same results, with a sentence that explains it for each pair that is not as expected. */
  async explainFailures(
    results: Report["reachability"],
    signal: AbortSignal,
  ): Promise<Report["reachability"]> {
    if (results.every(({ ok }) => ok)) return results;
    return explainFailures(results, {
      explainer: await this.#explainer(signal),
      obstacle: (guest) => this.#keeper(guest).obstacle,
      now: CLOCK.now,
    });
  }

  async #explainer(signal: AbortSignal): Promise<Explainer> {
    const instruments = await instrumentsOf({
      fabric: this.#runningFabric(),
      guest: (name) => this.#keeper(name).guest,
      obstacle: (name) => this.#keeper(name).obstacle,
      signal,
    });
    return new Explainer({ ...this.#plan, links: [...this.#links.values()] }, instruments);
  }

  exec(guest: string, request: ExecRequest): GuestProcess {
    return this.#keeper(guest).guest.exec(request);
  }

  /** Throws NO_SUCH_GUEST. */
  keeper(guest: string): GuestKeeper {
    return this.#keeper(guest);
  }

  /** Ends guests and fabric; twice is harmless. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    await this.#cleanups[Symbol.asyncDispose]();
  }

  /** The same, telling of each guest. */
  async end(onEvent: OnLabEvent): Promise<void> {
    using _ = this.#listen(onEvent);
    onEvent({ type: "step", step: "stop", detail: count(this.#keepers.size, "guest") });
    await this[Symbol.asyncDispose]();
  }

  #keeper(name: string): GuestKeeper {
    const keeper = this.#keepers.get(name);
    if (keeper !== undefined) return keeper;
    throw new LabError("NO_SUCH_GUEST", `lab ${this.name} has no guest ${name}`, {
      hint: `one of ${[...this.#keepers.keys()].join(", ")}`,
    });
  }

  #runningFabric(): RunningFabric {
    if (this.#fabric !== undefined && !this.#ending) return this.#fabric;
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

/** One for every link and filter that is expected to see frames, from the first frame on. */
function watchesOf({ claims }: ExpectPlan): WatchSpec[] {
  const specs = claims.flatMap((claim): (readonly [string, WatchSpec])[] => {
    if (claim.kind !== "sees") return [];
    const { watch, link, filter } = claim;
    return [[watch, { watch, of: { kind: "link", link }, filter }]];
  });
  return [...new Map(specs).values()];
}

/** How long a guest may take to write out what it has. */
const SYNC_MS = 30_000;

/** A guest that can't list its processes in this time hangs, and is shown from outside only. */
const INSPECT_MS = 5_000;
const NEVER = new AbortController().signal;
/** A command of a scenario. */
const LONGEST_COMMAND_MS = 60_000;

/** A guest that can't end its prober in time hangs. */
const PROBER_SPARE_MS = 15_000;

const round = (ms: number): number => Math.round(ms * 10) / 10;

/** A boot is CPU work with short waits. */
const bootsAtOnce = (cpus: number): number => 2 * cpus;
/** The answering guests want the CPUs too. */
const probesAtOnce = (cpus: number): number => 4 * cpus;

function interfacesOf({ setup }: GuestSpec): Report["guests"][number]["interfaces"] {
  return setup.interfaces.map(({ name, mac, addresses }) => ({ name, mac, addresses }));
}

/** With what the fabric knows of a NIC. */
function pluggedIn(
  nic: NicDevice,
  name: string,
  counters: FabricCounters | undefined,
): Inspection["nics"][number] {
  const isIt = (end: LinkEnd) => end.kind === "nic" && end.nic === name;
  const link = counters?.links.find(({ ends }) => ends?.some(isIt));
  const other = link?.ends?.find((end) => !isIt(end));
  return {
    ...nic,
    connected: counters?.nics.find((one) => one.nic === name)?.connected ?? false,
    link:
      link === undefined || other === undefined
        ? null
        : {
            name: link.link,
            up: link.up,
            to: other.kind === "switch" ? `switch ${other.switch}` : endName(other),
          },
  };
}
