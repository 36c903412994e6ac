/**
 * Grades the submissions of an assignment, several at once, each in a lab of its own.
 *
 *     plan (its own fault: 0 points) -> up -> scripts -> tasks -> down
 *         all of it within the assignment's limits; what exceeds one scores nothing, and says so
 *
 * Each grade is written down as soon as it is known. A grading that was interrupted goes on with the
 * others; one that came to its end is forgotten.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { EXIT_STATUS, LabError, messageOf } from "../../base/errors.ts";
import { cacheFolder } from "../../base/folders.ts";
import { formatBytes, formatDurationNs } from "../../base/units.ts";
import type { Image } from "../../kernel/guest/spec.ts";
import type { Assessment, OnLabEvent, RunningLab } from "../api.ts";
import { Limiter } from "../limiter.ts";
import { upPlan } from "../manager.ts";
import { within } from "../supervisor/within.ts";
import { type Assignment, readAssignment } from "./assignment.ts";
import { cut, type Grade, type Grades, reasonsOf, type TaskGrade } from "./grades.ts";
import {
  Fault,
  fingerprint,
  type GradingPlan,
  planSubmission,
  type Script,
  type Submission,
  submissionsIn,
} from "./submission.ts";

export interface GradeOptions {
  readonly assignment: string;
  readonly submissions: string;
  /** How many at once; undefined: as the machine allows. */
  readonly jobs: number | undefined;
  /** Grades all of them, also those known from an interrupted grading. */
  readonly again: boolean;
  readonly signal: AbortSignal;
  readonly onEvent: OnLabEvent;
  readonly onGrade: (grade: Grade) => void;
}

/** @throws LabErrors of the assignment, what a machine lacks, INTERRUPTED. */
export async function gradeAll(options: GradeOptions): Promise<Grades> {
  const startedAt = Date.now();
  const assignment = await readAssignment(options.assignment);
  const submissions = submissionsIn(resolve(options.submissions));
  const journal = new Journal(assignment, resolve(options.submissions), options.again);
  const limiter = new Limiter(options.jobs ?? jobsFor(assignment));
  const over = new AbortController();
  const signal = AbortSignal.any([options.signal, over.signal]);
  let resumed = 0;
  const results = await Promise.allSettled(
    submissions.map((submission, index) =>
      limiter.run(async () => {
        signal.throwIfAborted();
        const state = fingerprint(submission);
        const known = journal.find(submission, state);
        if (known !== undefined) {
          resumed++;
          options.onGrade(known);
          return known;
        }
        try {
          // Short, as a socket's path holds it; no two gradings share it.
          const lab = `grade-${process.pid.toString(36)}-${index + 1}`;
          const grade = await gradeOne(assignment, submission, lab, signal);
          journal.write(submission, state, grade);
          options.onGrade(grade);
          return grade;
        } catch (error) {
          over.abort(error);
          throw error;
        }
      }),
    ),
  );
  if (options.signal.aborted) {
    throw new LabError("INTERRUPTED", "interrupted", {
      hint: "the same command goes on with those that are not graded yet",
    });
  }
  if (over.signal.aborted) throw over.signal.reason;
  journal.forget();
  const grades = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  return {
    assignment: assignment.name,
    description: assignment.description ?? null,
    of: pointsOf(assignment),
    tasks: assignment.tasks.map(({ name, points }) => ({ name, points })),
    grades,
    resumed,
    seconds: tenth((Date.now() - startedAt) / 1000),
  };
}

const pointsOf = ({ tasks }: Assignment): number => tasks.reduce((sum, one) => sum + one.points, 0);

/** Two labs a processor, where there is memory for them. */
function jobsFor({ topology, limits, ownTopology }: Assignment): number {
  const known = topology.guests.reduce((sum, one) => sum + (one.memoryBytes ?? USUAL_BYTES), 0);
  const each = (ownTopology === undefined ? known : limits.memoryBytes) + LAB_BYTES;
  const room = Math.floor((0.7 * availableBytes()) / each);
  return Math.max(1, Math.min(2 * availableParallelism(), room));
}

const USUAL_BYTES = 64 << 20;
/** A supervisor and a fabric. */
const LAB_BYTES = 150 << 20;

function availableBytes(): number {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync("/proc/meminfo", "latin1"));
  return line === null ? Number.POSITIVE_INFINITY : Number(line[1]) * 1024;
}

/** Throws only where the machine, not the submission, is to blame; or the signal's reason. */
async function gradeOne(
  assignment: Assignment,
  submission: Submission,
  lab: string,
  signal: AbortSignal,
): Promise<Grade> {
  const startedAt = Date.now();
  const seconds = () => tenth((Date.now() - startedAt) / 1000);
  const of = pointsOf(assignment);
  const failed = (reason: string): Grade => ({
    ...{ submission: submission.name, state: "failed", points: 0, of, reason, notes: [] },
    tasks: assignment.tasks.map((task) => ({
      ...{ name: task.name, ok: false, points: 0, of: task.points, why: [] },
    })),
    seconds: seconds(),
  });
  const limit = new AbortController();
  const { timeMs } = assignment.limits;
  const late = `it was not done within ${formatDurationNs(timeMs * 1e6)}`;
  const timer = setTimeout(() => limit.abort(new Fault(late)), timeMs);
  try {
    const plan = planSubmission(assignment, submission, lab);
    const over = AbortSignal.any([signal, limit.signal]);
    const { tasks, notes } = await runSubmission(assignment, plan, over, limit, {
      judged: () => clearTimeout(timer),
      signal,
    });
    const points = tasks.reduce((sum, task) => sum + task.points, 0);
    return {
      ...{ submission: submission.name, state: "graded", points, of, reason: null, notes, tasks },
      seconds: seconds(),
    };
  } catch (error) {
    signal.throwIfAborted();
    if (limit.signal.aborted) return failed(messageOf(limit.signal.reason));
    if (error instanceof Fault) return failed(error.message);
    if (error instanceof LabError && EXIT_STATUS[error.code] === 4) return failed(error.message);
    if (isFileError(error)) return failed(`it can't be read: ${messageOf(error)}`);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** ENAMETOOLONG, ELOOP, EACCES: a folder can be made so that it can't be read. */
const isFileError = (error: unknown): boolean =>
  error instanceof Error && !(error instanceof LabError) && "syscall" in error;

const FRAMES_LOOK_MS = 1000;

async function runSubmission(
  assignment: Assignment,
  { lab: plan, scripts, tasks }: GradingPlan,
  signal: AbortSignal,
  limit: AbortController,
  after: { readonly judged: () => void; readonly signal: AbortSignal },
): Promise<{ readonly tasks: TaskGrade[]; readonly notes: string[] }> {
  const onEvent: OnLabEvent = () => {};
  const { lab } = await upPlan(
    { signal, onEvent, startedAt: Date.now(), tied: true },
    () => plan,
    (images) => checkMemory(assignment, plan, images),
  );
  const looking = setInterval(() => void checkFrames(assignment, lab, limit), FRAMES_LOOK_MS);
  try {
    const notes: string[] = [];
    for (const script of scripts) {
      const note = await runScript(lab, script, assignment.limits.scriptMs, signal);
      if (note !== undefined) notes.push(note);
    }
    const answer = () => Promise.all(plan.guests.map(({ name }) => answers(lab, name, signal)));
    await answer();
    const assessments: Assessment[] = [];
    for (const { expect } of tasks) {
      assessments.push(await lab.assess(expect, { signal, onEvent }));
      signal.throwIfAborted();
    }
    // What works now may not have worked all the time.
    await answer();
    await checkFrames(assignment, lab, limit);
    signal.throwIfAborted();
    // Saying why takes none of the submission's time and frames.
    after.judged();
    clearInterval(looking);
    const explained = await explainAll(lab, assessments, after.signal);
    const graded = tasks.map(({ name, points }, index): TaskGrade => {
      const why = reasonsOf(explained[index] as Assessment);
      const ok = why.length === 0;
      return { name, ok, points: ok ? points : 0, of: points, why };
    });
    return { tasks: graded, notes };
  } finally {
    clearInterval(looking);
    await lab.down(() => {});
  }
}

/** A lab that can't be looked into in this time keeps the reasons that it has. */
const EXPLAIN_MS = 20_000;

/** The same assessments, with why each pair is not as expected. Throws the signal's reason. */
async function explainAll(
  lab: RunningLab,
  assessments: readonly Assessment[],
  signal: AbortSignal,
): Promise<readonly Assessment[]> {
  const all = assessments.flatMap(({ reachability }) => reachability);
  if (all.every(({ ok }) => ok)) return assessments;
  try {
    const over = AbortSignal.any([signal, AbortSignal.timeout(EXPLAIN_MS)]);
    const explained = [...(await lab.explainFailures(all, { signal: over }))];
    return assessments.map((one) => ({
      ...one,
      reachability: explained.splice(0, one.reachability.length),
    }));
  } catch {
    signal.throwIfAborted();
    return assessments;
  }
}

function checkMemory(
  { limits }: Assignment,
  { guests }: GradingPlan["lab"],
  images: Readonly<Record<string, Image>>,
): void {
  const bytes = guests.reduce(
    (sum, { memoryBytes, image }) => sum + (memoryBytes ?? images[image]?.defaultMemoryBytes ?? 0),
    0,
  );
  if (bytes <= limits.memoryBytes) return;
  throw new Fault(
    `its guests have ${formatBytes(bytes)} of memory; ${formatBytes(limits.memoryBytes)} are allowed`,
  );
}

async function checkFrames(
  { limits }: Assignment,
  lab: RunningLab,
  limit: AbortController,
): Promise<void> {
  try {
    const { counters } = await lab.status();
    const frames = counters.nics.reduce((sum, nic) => sum + nic.fromGuest.frames, 0);
    if (frames > limits.frames) {
      limit.abort(new Fault(`its guests sent more than ${limits.frames} frames`));
    }
  } catch {
    // It ends just now; whoever uses it says why.
  }
}

/** How long a guest may take to run the smallest command. */
const ANSWER_MS = 10_000;

/** A Fault where a guest does nothing any more: a script may have used all of it up. */
async function answers(lab: RunningLab, guest: string, signal: AbortSignal): Promise<void> {
  const process = lab.exec(guest, { command: ["/bin/true"] });
  process.stdin.on("error", () => {}).end();
  const { code } = await within(process.exit, ANSWER_MS, signal).catch((error: unknown) => {
    throw error instanceof LabError && error.code === "TIMEOUT"
      ? new Fault(`${guest} does not answer any more`)
      : error;
  });
  if (code !== 0) throw new Fault(`${guest} can't run programs any more`);
}

const MOST_OUTPUT_BYTES = 16 << 10;
const SIGKILL = 9;

/** Runs a script in its guest. A note where it ended with an error; a Fault where it did not end. */
async function runScript(
  lab: RunningLab,
  { file, guest, text }: Script,
  mostMs: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  // As a file: a script may read its standard input.
  const command = [
    "sh",
    "-c",
    'cat > "$0" && chmod 755 "$0" && exec "$0" < /dev/null',
    `/run/${safe(file)}`,
  ];
  const process = lab.exec(guest, { command });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      if (bytes < MOST_OUTPUT_BYTES) chunks.push(chunk.subarray(0, MOST_OUTPUT_BYTES - bytes));
      bytes += chunk.length;
    });
  }
  process.stdin.on("error", () => {});
  process.stdin.end(withInterpreter(text));
  const ended = await within(process.exit, mostMs, signal).catch((error: unknown) => {
    process.kill(SIGKILL);
    throw error instanceof LabError && error.code === "TIMEOUT"
      ? new Fault(`${file} did not end within ${formatDurationNs(mostMs * 1e6)}`)
      : error;
  });
  const { code } = ended;
  if (code === 0) return undefined;
  const output = Buffer.concat(chunks).toString("utf8").trim();
  const said = output === "" ? "and no output" : `and this output: ${cut(output)}`;
  return `${file} ended with status ${code} on ${guest} ${said}`;
}

const safe = (file: string): string => file.replace(/[^A-Za-z0-9._-]/g, "_");

/** Text without `#!` is a shell's; so are lines that end as Windows ends them. */
function withInterpreter(text: Uint8Array): Buffer {
  const script = Buffer.from(text);
  if (script.subarray(0, 2).toString("latin1") !== "#!") {
    return Buffer.concat([Buffer.from("#!/bin/sh\n"), Buffer.from(lineEnds(script))]);
  }
  return Buffer.from(lineEnds(script));
}

const lineEnds = (script: Buffer): Buffer =>
  script.includes("\r\n")
    ? Buffer.from(script.toString("latin1").replaceAll("\r\n", "\n"), "latin1")
    : script;

/** Grades of a grading that has not come to its end, in the cache. */
class Journal {
  readonly #folder: string;
  readonly #again: boolean;

  constructor({ file, texts }: Assignment, submissions: string, again: boolean) {
    const hash = createHash("sha256").update(JSON.stringify([file, submissions, ...texts]));
    this.#folder = join(cacheFolder(), "grades", hash.digest("hex").slice(0, 16));
    this.#again = again;
    mkdirSync(this.#folder, { recursive: true });
  }

  find({ name }: Submission, state: string): Grade | undefined {
    if (this.#again) return undefined;
    try {
      const found = JSON.parse(readFileSync(this.#path(name), "utf8"));
      return found.state === state ? (found.grade as Grade) : undefined;
    } catch {
      return undefined;
    }
  }

  write({ name }: Submission, state: string, grade: Grade): void {
    const path = this.#path(name);
    writeFileSync(`${path}.new`, JSON.stringify({ state, grade }), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  forget(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(
      this.#folder,
      `${createHash("sha256").update(name).digest("hex").slice(0, 24)}.json`,
    );
  }
}

const tenth = (value: number): number => Math.round(value * 10) / 10;
