/** What a grading answers. */

import type { Assessment } from "../api.ts";

export interface TaskGrade {
  readonly name: string;
  readonly ok: boolean;
  readonly points: number;
  readonly of: number;
  /** Sentences about what did not hold; empty where all did. */
  readonly why: readonly string[];
}

export interface Grade {
  /** The student's: the name of a folder or file. */
  readonly submission: string;
  /** failed: nothing could be graded, for the reason given. */
  readonly state: "graded" | "failed";
  readonly points: number;
  readonly of: number;
  readonly reason: string | null;
  /** What happened besides: a script that ended with an error, say. */
  readonly notes: readonly string[];
  readonly tasks: readonly TaskGrade[];
  readonly seconds: number;
}

export interface Grades {
  readonly assignment: string;
  readonly description: string | null;
  readonly of: number;
  readonly tasks: readonly { readonly name: string; readonly points: number }[];
  readonly grades: readonly Grade[];
  /** How many were known from an interrupted grading. */
  readonly resumed: number;
  readonly seconds: number;
}

/** What did not hold of a task, in sentences. */
export function reasonsOf({ reachability, checks, expectations }: Assessment): string[] {
  return [
    ...reachability.flatMap(({ ok, from, to, address, why }) =>
      ok ? [] : [`${from} -> ${to} (${address}): ${why ?? "not as expected"}`],
    ),
    ...expectations.flatMap(({ ok, name, why }) =>
      ok ? [] : [`${name}: ${why ?? "it did not hold"}`],
    ),
    ...checks.flatMap(({ ok, name, exit, output }) => {
      if (ok) return [];
      const end = exit === null ? "it did not end in time" : `it ended with status ${exit}`;
      const said =
        output.trim() === "" ? "and no output" : `and this output: ${cut(output.trim())}`;
      return [`${name}: ${end} ${said}`];
    }),
  ];
}

const MOST_OUTPUT = 600;

export const cut = (text: string): string =>
  text.length > MOST_OUTPUT ? `${text.slice(0, MOST_OUTPUT)} …` : text;
