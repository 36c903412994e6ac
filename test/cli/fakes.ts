/** Fakes for tests of the command line: an engine, a lab, streams that remember. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect } from "chai";
import { LabError } from "../../base/errors.ts";
import { packageRoot } from "../../base/package-root.ts";
import type { Engine } from "../../cli/engine.ts";
import { makeOutput } from "../../cli/output.ts";
import { runWords } from "../../cli/run.ts";
import type { ExecRequest, GuestProcess } from "../../kernel/guest/spec.ts";
import type {
  Inspection,
  LabStatus,
  LabSummary,
  ReachabilityResult,
  Report,
  RunningLab,
} from "../../lab/api.ts";
import type { Impairment } from "../../net/control/messages.ts";

export const NOW = Date.parse("2026-01-02T03:04:05Z");

/** Compares with test/cli/golden/NAME; `UPDATE_GOLDEN=1` writes it instead. */
export function expectGolden(name: string, text: string): void {
  const file = join(packageRoot, "test/cli/golden", name);
  if (process.env.UPDATE_GOLDEN) writeFileSync(file, text);
  expect(text).to.equal(readFileSync(file, "utf8"));
}

type Pair = Partial<ReachabilityResult> & Pick<ReachabilityResult, "from" | "to">;

export function pair(values: Pair): ReachabilityResult {
  const reachable = values.reachable ?? true;
  return {
    address: "10.0.0.1",
    reachable,
    rttMs: reachable ? 0.42 : null,
    expected: "reach",
    ok: true,
    why: null,
    ...values,
  };
}

export function report(values: Partial<Report> & { names?: readonly string[] } = {}): Report {
  const { names = ["alice", "bob"], ...rest } = values;
  return {
    lab: "two-lans",
    verdict: "pass",
    guests: names.map((name, i) => ({
      name,
      state: "ready",
      pid: 4711 + i,
      bootMs: 210,
      kernel: "7.2.7",
      interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", addresses: [`10.0.0.${i + 1}/24`] }],
    })),
    reachability: [],
    checks: [],
    expectations: [],
    timeline: null,
    score: { points: 0, of: 0 },
    timing: { checkMs: 12, bootMs: 230, readyMs: 260, verifyMs: 45, totalMs: 340 },
    ...rest,
  };
}

/** Every ordered pair of the names. */
export function allPairs(
  names: readonly string[],
  make: (from: string, to: string) => ReachabilityResult = (from, to) => pair({ from, to }),
): ReachabilityResult[] {
  return names.flatMap((from) => names.filter((to) => to !== from).map((to) => make(from, to)));
}

export const status = (values: Partial<LabStatus> = {}): LabStatus => ({
  lab: "two-lans",
  file: "/labs/two-lans.yaml",
  since: "2026-01-02T03:03:05Z",
  supervisorPid: 100,
  fabricPid: 101,
  guests: [
    {
      name: "alice",
      state: "ready",
      pid: 4711,
      image: "base",
      kernel: "debian-7.2.7",
      memoryBytes: 50331648,
      residentBytes: 31000000,
      cpuSeconds: 0.4,
      bootMs: 210,
      interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", addresses: ["10.0.1.10/24"] }],
    },
    {
      name: "bob",
      state: "paused",
      pid: 4712,
      image: "base",
      kernel: "debian-7.2.7",
      memoryBytes: 50331648,
      residentBytes: null,
      cpuSeconds: null,
      bootMs: null,
      interfaces: [],
    },
  ],
  counters: {
    nics: [],
    links: [
      {
        link: "core",
        up: true,
        directions: [
          { frames: 1200, bytes: 98765, drops: { loss: 3, "queue-full": 0 } },
          { frames: 7, bytes: 420, drops: {} },
        ],
      },
    ],
    switches: [],
  },
  ...values,
});

/** A command in a guest that reads all its input, then does what `behave` says. */
export function guestProcess(
  behave: (input: string) => { out?: string; err?: string; code?: number; signal?: number },
): GuestProcess & { readonly kills: number[]; readonly sizes: [number, number][] } {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const kills: number[] = [];
  const sizes: [number, number][] = [];
  let end: (how: { code: number; signal: number | undefined }) => void;
  const exit = new Promise<{ code: number; signal: number | undefined }>((resolve) => {
    end = resolve;
  });
  const chunks: Buffer[] = [];
  const finish = (how: ReturnType<typeof behave>) => {
    stdout.end(how.out ?? "");
    stderr.end(how.err ?? "");
    end({ code: how.code ?? 0, signal: how.signal });
  };
  stdin.on("data", (chunk: Buffer) => chunks.push(chunk));
  stdin.on("end", () => finish(behave(Buffer.concat(chunks).toString("utf8"))));
  return {
    stdin,
    stdout,
    stderr,
    exit,
    kills,
    sizes,
    resize: (columns, rows) => sizes.push([columns, rows]),
    kill: (signal) => {
      kills.push(signal);
      finish({ code: 0, signal });
    },
  };
}

export interface FakeLab extends RunningLab {
  readonly calls: unknown[][];
}

export function fakeLab(
  options: {
    name?: string;
    exec?: (guest: string, request: ExecRequest) => GuestProcess;
    report?: Report;
    status?: LabStatus;
    impairments?: readonly [Impairment, Impairment];
    inspection?: Inspection;
  } = {},
): FakeLab {
  const calls: unknown[][] = [];
  const called =
    (name: string) =>
    async (...args: unknown[]): Promise<void> => {
      calls.push([name, ...args.filter((arg) => typeof arg !== "function")]);
    };
  return {
    calls,
    name: options.name ?? "two-lans",
    status: async () => options.status ?? status(),
    plan: async () => {
      throw new Error("this fake has no plan");
    },
    apply: async () => {
      throw new Error("this fake stays as it is");
    },
    verify: async () => options.report ?? report(),
    assess: async () => options.report ?? report(),
    exec: (guest, request) => {
      calls.push(["exec", guest, request]);
      if (options.exec === undefined) throw new Error("this fake runs no commands");
      return options.exec(guest, request);
    },
    console: (guest, how) => {
      calls.push(["console", guest, how]);
      const console = guestProcess(() => ({ out: "Linux version 7.2.7\n" }));
      console.stdin.end();
      return console;
    },
    explain: async () => {
      throw new Error("this fake explains nothing");
    },
    explainFailures: async (results) => results,
    inspect: async () => {
      if (options.inspection === undefined) throw new Error("this fake shows no guest");
      return options.inspection;
    },
    debug: async () => {
      throw new Error("this fake has no kernel");
    },
    restart: called("restart"),
    stop: called("stop"),
    start: called("start"),
    pause: called("pause"),
    resume: called("resume"),
    setLink: called("setLink"),
    addLink: async (...args: unknown[]) => {
      calls.push(["addLink", ...args]);
      return "a:eth0--b:eth0";
    },
    removeLink: called("removeLink"),
    startCapture: async (request) => {
      calls.push(["startCapture", request]);
      return { capture: "c1", path: request.file ?? "/dev/null" };
    },
    stopCapture: async (capture) => {
      calls.push(["stopCapture", capture]);
      return { capture, recorded: 7, bytes: 700, missed: 0 };
    },
    save: async (file) => {
      calls.push(["save", file]);
      return { lab: options.name ?? "two-lans", file, bytes: 4_200_000, disks: ["alice"] };
    },
    down: called("down"),
    [Symbol.asyncDispose]: called("dispose"),
  };
}

export const summary = (name: string, values: Partial<LabSummary> = {}): LabSummary => ({
  name,
  file: `/labs/${name}.yaml`,
  state: "running",
  pid: 100,
  guests: 3,
  since: "2026-01-02T03:03:05Z",
  problem: null,
  ...values,
});

const unused = (what: string) => async (): Promise<never> => {
  throw new Error(`this test did not expect ${what}`);
};

export const fakeEngine = (parts: Partial<Engine> = {}): Engine => ({
  planFile: unused("planFile"),
  drawGraph: unused("drawGraph"),
  listStarters: unused("listStarters"),
  writeStarter: unused("writeStarter"),
  upLab: unused("upLab"),
  testLab: unused("testLab"),
  applyLab: unused("applyLab"),
  gradeAll: unused("gradeAll"),
  listLabs: async () => [],
  findLab: async (name) => {
    throw new LabError("NO_SUCH_LAB", `no lab ${name} is running`);
  },
  listDisks: async () => [],
  removeDisks: unused("removeDisks"),
  saveKept: unused("saveKept"),
  cleanUp: unused("cleanUp"),
  ensureKernel: unused("ensureKernel"),
  listKernels: async () => [],
  buildKernel: async () => {
    throw new LabError("BUILD_FAILED", "the fake engine builds no kernels");
  },
  listImages: async () => [],
  ensureImage: unused("ensureImage"),
  importImage: unused("importImage"),
  removeImage: unused("removeImage"),
  ensureDebugger: unused("ensureDebugger"),
  examineMachine: async () => [],
  ...parts,
});

/** An engine with one running lab. */
export const engineWith = (lab: RunningLab): Engine =>
  fakeEngine({ listLabs: async () => [summary(lab.name)], findLab: async () => lab });

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the words as main.ts would, on pipes, 100 columns wide, without colour. */
export async function cli(
  argv: readonly string[],
  engine: Engine = fakeEngine(),
  options: { input?: string; env?: NodeJS.ProcessEnv; signal?: AbortSignal } = {},
): Promise<Outcome> {
  const stdout = memory();
  const stderr = memory();
  const stdin = new PassThrough();
  stdin.end(options.input ?? "");
  const env = options.env ?? {};
  const code = await runWords(argv, {
    stdin: stdin as unknown as NodeJS.ReadStream,
    stdout: makeOutput(stdout.stream, env),
    stderr: makeOutput(stderr.stream, env),
    env,
    cwd: "/labs",
    signal: options.signal ?? new AbortController().signal,
    startedAt: NOW,
    now: () => NOW,
    cleansUpWhenInterrupted: () => {},
    lendTerminal: () => ({ [Symbol.dispose]: () => {} }),
    engine,
  });
  return { status: code, stdout: stdout.text(), stderr: stderr.text() };
}

function memory() {
  const stream = new PassThrough();
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return { stream, text: () => Buffer.concat(chunks).toString("utf8") };
}
