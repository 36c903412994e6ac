/**
 * An assignment: a topology, what a student hands in, and hidden expectations with points. Read and
 * checked as topologies are, with every error at its place.
 */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { LabError, LabErrors, messageOf } from "../../base/errors.ts";
import { parseBytes, parseDurationNs } from "../../base/units.ts";
import { readExpectations } from "../topology/expectations.ts";
import { Names } from "../topology/names.ts";
import { notYet } from "../topology/not-yet.ts";
import { Problems } from "../topology/problems.ts";
import { readTopology } from "../topology/read.ts";
import { asMap, asScalar, Reading } from "../topology/reading.ts";
import type { Allowance } from "../topology/restrictions.ts";
import { checkAssignmentSchema } from "../topology/schema.ts";
import { Source } from "../topology/source.ts";
import type { Topology, TopologyExpectations } from "../topology/topology.ts";
import { type ListNode, type MapNode, readTree, type ScalarNode } from "../topology/tree.ts";

/** A file of a student's, and what becomes of it. */
export interface HandedIn {
  /** Relative to the submission's folder. */
  readonly file: string;
  readonly guest: string;
  /** Where it goes; undefined for a script that is run and not kept. */
  readonly to: string | undefined;
  readonly run: boolean;
  readonly required: boolean;
}

export interface Task {
  readonly name: string;
  readonly points: number;
  readonly expectations: TopologyExpectations;
}

export interface Limits {
  /** Of a submission, from its start to its last task. */
  readonly timeMs: number;
  /** Of one script. */
  readonly scriptMs: number;
  /** Of all its guests' RAM together. */
  readonly memoryBytes: number;
  /** That its guests send. */
  readonly frames: number;
  /** Of one file that is handed in. */
  readonly fileBytes: number;
}

export interface Assignment {
  readonly name: string;
  readonly description: string | undefined;
  /** Absolute. */
  readonly file: string;
  /** The teacher's: the lab that files go into, or the model of a topology that is handed in. */
  readonly topology: Topology;
  readonly files: readonly HandedIn[];
  /** The topology that is handed in, relative to the submission's folder. */
  readonly ownTopology: string | undefined;
  readonly allowed: ReadonlySet<Allowance>;
  readonly tasks: readonly Task[];
  readonly limits: Limits;
  /** What it was read from: another text is another assignment. */
  readonly texts: readonly string[];
}

const DEFAULT_LIMITS: Limits = {
  timeMs: 120_000,
  scriptMs: 10_000,
  memoryBytes: 1 << 30,
  frames: 1_000_000,
  fileBytes: 1 << 20,
};

/** @throws LabErrors of the assignment or of its topology, FILE_UNREADABLE. */
export async function readAssignment(file: string): Promise<Assignment> {
  const path = resolve(file);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new LabError("FILE_UNREADABLE", `cannot read ${file}: ${messageOf(cause)}`, {
      cause,
      hint: "name an assignment, for instance `uml-lab grade assignment.yaml --submissions DIR`",
    });
  }
  const source = new Source(path, text);
  const problems = new Problems(source);
  const tree = readTree(source, process.env, problems);
  const root = tree?.root;
  if (tree === undefined || root?.kind !== "map") {
    problems.throwIfAny();
    problems.add(
      "SCHEMA",
      { start: root?.start ?? 0, end: root?.end ?? 1 },
      "an assignment is a map",
      "begin with `name: my-assignment`",
    );
    throw problems.all();
  }
  const reading = new Reading(source, problems, checkAssignmentSchema(tree, problems));
  const named = reading.scalar(root, "topology");
  if (named === undefined) throw problems.all();
  const topologyFile = reading.resolvePath(named.text);
  const topology = await topologyOf(topologyFile, reading, named);
  const assignment = readMeaning(reading, root, topology);
  problems.throwIfAny();
  return { ...assignment, texts: [text, readFileSync(topologyFile, "utf8")] };
}

/** A topology that can't be read is an error of this file; one that is wrong tells its own. */
async function topologyOf(
  file: string,
  { problems }: Reading,
  named: ScalarNode,
): Promise<Topology> {
  try {
    const topology = await readTopology(file);
    const missing = notYet(topology);
    if (missing.length > 0) throw new LabErrors(missing);
    return topology;
  } catch (error) {
    if (!(error instanceof LabError) || error instanceof LabErrors) throw error;
    problems.add(
      "FILE_UNREADABLE",
      named,
      error.message,
      "`topology` is a path, relative to the assignment",
    );
    throw problems.all();
  }
}

function readMeaning(
  reading: Reading,
  top: MapNode,
  topology: Topology,
): Omit<Assignment, "texts"> {
  const names = new Names(reading, declaring(topology));
  const submission = reading.map(top, "submission");
  const ownTopology = reading.text(submission, "topology");
  const files = readFiles(reading, submission, names);
  const node = reading.get(top, "submission");
  const asks = (key: string) => submission?.entries.has(key) ?? false;
  if (node !== undefined && asks("files") === asks("topology")) {
    reading.problems.add(
      "SCHEMA",
      node,
      !asks("files")
        ? "nothing is to be handed in"
        : "either files or a topology is handed in, not both",
      "write `files: { r1.sh: { guest: r1, run: true } }`, or `topology: lab.yaml`",
    );
  }
  const tasks = reading.items(reading.get(top, "tasks")).flatMap((item): Task[] => {
    const map = asMap(item);
    const expect = reading.map(map, "expect");
    if (map === undefined || expect === undefined) return [];
    return [
      {
        name: reading.text(map, "name") ?? "",
        points: reading.number(map, "points") ?? 1,
        expectations: readExpectations(reading, expect, names, topology.links),
      },
    ];
  });
  const limits = reading.map(top, "limits");
  const ms = (key: string) => {
    const ns = parseDurationNs(reading.text(limits, key) ?? "");
    return ns === undefined ? undefined : ns / 1e6;
  };
  return {
    name: reading.text(top, "name") ?? "",
    description: reading.text(top, "description"),
    file: reading.source.file,
    topology,
    files,
    ownTopology,
    allowed: new Set(
      reading
        .items(reading.get(submission, "allow"))
        .flatMap((item) => (asScalar(item)?.text ?? []) as Allowance[]),
    ),
    tasks,
    limits: {
      timeMs: ms("time") ?? DEFAULT_LIMITS.timeMs,
      scriptMs: ms("script") ?? DEFAULT_LIMITS.scriptMs,
      memoryBytes: parseBytes(reading.text(limits, "memory") ?? "") ?? DEFAULT_LIMITS.memoryBytes,
      frames: reading.number(limits, "frames") ?? DEFAULT_LIMITS.frames,
      fileBytes: parseBytes(reading.text(limits, "size") ?? "") ?? DEFAULT_LIMITS.fileBytes,
    },
  };
}

function readFiles(reading: Reading, submission: MapNode | undefined, names: Names): HandedIn[] {
  return reading.entries(reading.get(submission, "files")).flatMap(({ key, value }): HandedIn[] => {
    const map = asMap(value);
    const on = reading.scalar(map, "guest");
    if (map === undefined || on === undefined) return [];
    const to = reading.text(map, "to");
    const run = reading.boolean(map, "run") ?? false;
    if (to === undefined && !run) {
      reading.problems.add(
        "SCHEMA",
        value,
        `nothing becomes of \`${key.text}\``,
        "write where it goes (`to: /etc/motd`), or that it is run (`run: true`)",
      );
    }
    if (key.text.startsWith("/") || key.text.split("/").includes("..")) {
      reading.problems.add(
        "BAD_VALUE",
        key,
        `\`${key.text}\` is not in the submission's folder`,
        "write a name such as `r1.sh`, or `configs/r1.conf`",
      );
    }
    return names.guestsOf(on.text, on).map((guest) => ({
      file: key.text,
      guest,
      to,
      run,
      required: reading.boolean(map, "required") ?? true,
    }));
  });
}

/** The names of a topology that was read, as if they were declared here. */
function declaring({ guests, switches }: Topology): MapNode {
  const scalar = (text: string): ScalarNode => ({
    ...{ kind: "scalar", value: text, text, textStart: undefined, replaced: false },
    ...{ start: 0, end: 0, path: `/declared/${text}` },
  });
  const list = (all: readonly { readonly name: string }[]): ListNode => ({
    ...{ kind: "list", start: 0, end: 0, path: "/declared" },
    items: all.map(({ name }) => scalar(name)),
  });
  return {
    ...{ kind: "map", start: 0, end: 0, path: "" },
    entries: new Map([
      ["guests", { key: scalar("guests"), value: list(guests) }],
      ["switches", { key: scalar("switches"), value: list(switches) }],
    ]),
  };
}
