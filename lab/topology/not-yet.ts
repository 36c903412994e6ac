/**
 * Keys of the language that this version reads and checks, but that a running lab cannot do yet.
 * `check` and `up` say so instead of ignoring them. A feature that lands removes its line here.
 */

import { LabError } from "../../base/errors.ts";
import type { Topology } from "./topology.ts";

const NOT_YET: Readonly<Record<string, string>> = {
  "clock: virtual": "a virtual clock",
};

/** One error for each place that uses what is not there yet; none when the lab can run. */
export function notYet(topology: Topology): LabError[] {
  const inOrder = [...topology.used].sort(
    (a, b) => a.at.line - b.at.line || a.at.column - b.at.column,
  );
  return inOrder.flatMap(({ feature, at, excerpt }) => {
    const what = NOT_YET[feature];
    if (what === undefined) return [];
    return [
      new LabError("NOT_YET", `this version of uml-lab cannot do this yet: ${what}`, {
        hint: "remove the key to run the lab without it",
        at,
        excerpt,
      }),
    ];
  });
}
