/**
 * From what a student handed in to the plan of a lab. Nothing that was handed in is trusted: a
 * submission is read within its own folder, and what can't be used is its own fault (`Fault`).
 */

import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { LabError, LabErrors } from "../../base/errors.ts";
import { formatBytes } from "../../base/units.ts";
import type { ExpectPlan } from "../plan/expect-plan.ts";
import { expectPlan } from "../plan/expectations.ts";
import { makePlan } from "../plan/make-plan.ts";
import type { LabPlan } from "../plan/plan.ts";
import { notYet } from "../topology/not-yet.ts";
import { parseTopology } from "../topology/read.ts";
import { isInside } from "../topology/restrictions.ts";
import type { Topology } from "../topology/topology.ts";
import type { Assignment, HandedIn } from "./assignment.ts";

export interface Submission {
  /** Of its folder or file: the student's. */
  readonly name: string;
  /** The folder that its files are in. */
  readonly folder: string;
  /** Where a single file was handed in: that file. */
  readonly file: string | undefined;
}

/** Why a submission scores nothing; the message is for its student. */
export class Fault extends Error {}

export interface Script {
  readonly file: string;
  readonly guest: string;
  readonly text: Uint8Array;
}

export interface GradingPlan {
  readonly lab: LabPlan;
  readonly scripts: readonly Script[];
  readonly tasks: readonly {
    readonly name: string;
    readonly points: number;
    readonly expect: ExpectPlan;
  }[];
}

/** Every folder and every file in `folder`, in the order of their names; hidden ones left out. */
export function submissionsIn(folder: string): Submission[] {
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch (cause) {
    throw new LabError("FILE_UNREADABLE", `there is no folder ${folder}`, {
      cause,
      hint: "name the folder that holds a folder or a file for each student",
    });
  }
  return names.flatMap((name): Submission[] => {
    if (name.startsWith(".")) return [];
    const path = join(folder, name);
    const stat = lstatSync(path);
    if (stat.isDirectory()) return [{ name, folder: path, file: undefined }];
    // A link is nobody's submission: it is told as one that can't be read.
    return [{ name: name.replace(/\.[^.]+$/, "") || name, folder, file: path }];
  });
}

/** No guest boots with less. */
const LEAST_GUEST_BYTES = 32 << 20;

const MOST_ENTRIES = 10_000;

/** What identifies a submission's state: names, sizes and times of its files. */
export function fingerprint({ folder, file }: Submission): string {
  const hash = createHash("sha256");
  let left = MOST_ENTRIES;
  const add = (path: string) => {
    if (left-- <= 0) return;
    const stat = lstatSync(path);
    hash.update(`${path}\0${stat.size}\0${stat.mtimeMs}\0${stat.mode}\n`);
    if (stat.isDirectory()) for (const name of readdirSync(path).sort()) add(join(path, name));
  };
  add(file ?? folder);
  return hash.digest("hex");
}

/** Throws a Fault. @param lab the name that its lab gets. */
export function planSubmission(
  assignment: Assignment,
  submission: Submission,
  lab: string,
): GradingPlan {
  const { topology, scripts, files } =
    assignment.ownTopology === undefined
      ? withFiles(assignment, submission)
      : { topology: ownTopology(assignment, submission), scripts: [], files: [] };
  const { memoryBytes } = assignment.limits;
  if (topology.guests.length * LEAST_GUEST_BYTES > memoryBytes) {
    const allowed = formatBytes(memoryBytes);
    throw new Fault(`it has ${topology.guests.length} guests; ${allowed} of memory are allowed`);
  }
  const plan = makePlan(topology);
  const guests = plan.guests.map((guest) => {
    const own = files.filter((one) => one.guest === guest.name);
    if (own.length === 0) return guest;
    const { setup } = guest;
    const kept = setup.files.filter(({ path }) => own.every((one) => one.path !== path));
    const added = own.map(({ path, content }) => ({ path, content, mode: 0o644 }));
    return { ...guest, setup: { ...setup, files: [...kept, ...added] } };
  });
  return {
    // what is judged is the tasks, and nothing that was handed in
    lab: { ...plan, name: lab, guests, pairs: [], checks: [], claims: [], settleMs: 0, events: [] },
    scripts,
    tasks: assignment.tasks.map(({ name, points, expectations }) => ({
      name,
      points,
      expect: expectPlan(topology.guests, expectations, { everyPair: false }),
    })),
  };
}

function withFiles(assignment: Assignment, submission: Submission) {
  const scripts: Script[] = [];
  const files: { readonly guest: string; readonly path: string; readonly content: Uint8Array }[] =
    [];
  for (const wanted of assignment.files) {
    const content = contentOf(assignment, submission, wanted);
    if (content === undefined) continue;
    const { file, guest, to, run } = wanted;
    if (to !== undefined) files.push({ guest, path: to, content });
    if (run) scripts.push({ file, guest, text: content });
  }
  return { topology: assignment.topology, scripts, files };
}

function contentOf(
  { limits, files }: Assignment,
  { folder, file }: Submission,
  wanted: HandedIn,
): Uint8Array | undefined {
  // A single file stands for the only one that is asked for, whatever it is called.
  const single = file !== undefined && new Set(files.map((one) => one.file)).size === 1;
  if (file !== undefined && !single && basename(file) !== wanted.file) {
    if (!wanted.required) return undefined;
    throw new Fault(`${wanted.file} was not handed in`);
  }
  return file === undefined
    ? readInside(join(folder, wanted.file), folder, wanted, limits.fileBytes)
    : readInside(file, file, wanted, limits.fileBytes);
}

/** @param place the submission's folder, or itself where it is a single file. */
function readInside(
  path: string,
  place: string,
  { file, required }: Pick<HandedIn, "file" | "required">,
  mostBytes: number,
): Uint8Array | undefined {
  // Beside a single file stand those of others: a link may lead to them.
  const link = path === place && lstatSync(path).isSymbolicLink();
  if (link || !isInside(path, realpathSync(place))) {
    throw new Fault(`${file} is a link that leads out of the submission`);
  }
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    if (!required) return undefined;
    throw new Fault(`${file} was not handed in`);
  }
  if (!stat.isFile()) throw new Fault(`${file} is not a file`);
  if (stat.size > mostBytes) {
    throw new Fault(`${file} has ${formatBytes(stat.size)}; ${formatBytes(mostBytes)} are allowed`);
  }
  return readFileSync(path);
}

function ownTopology(assignment: Assignment, { folder, file }: Submission): Topology {
  const name = assignment.ownTopology as string;
  const path = file ?? join(folder, name);
  // beside a single file stand those of others
  const place = file ?? folder;
  const wanted = { file: name, required: true };
  const bytes = readInside(path, place, wanted, assignment.limits.fileBytes) as Uint8Array;
  let topology: Topology;
  try {
    // no environment: what stands there is nobody's business
    topology = parseTopology(path, bytes, {}, { folder: place, allowed: assignment.allowed });
    const missing = notYet(topology);
    if (missing.length > 0) throw new LabErrors(missing);
  } catch (error) {
    if (!(error instanceof LabErrors)) throw error;
    throw new Fault(error.errors.map((one) => errorText(name, one)).join("\n"));
  }
  const names = new Set(topology.guests.map((guest) => guest.name));
  const missing = assignment.topology.guests.filter((guest) => !names.has(guest.name));
  if (missing.length > 0) {
    throw new Fault(`${name} has no guest ${missing.map((guest) => guest.name).join(", ")}`);
  }
  return topology;
}

function errorText(file: string, { message, at, excerpt }: LabError): string {
  const place = at === undefined ? file : `${file}, line ${at.line}, column ${at.column}`;
  return `${place}: ${message}${excerpt === undefined ? "" : `\n${excerpt}`}`;
}
