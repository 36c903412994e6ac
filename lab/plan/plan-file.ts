/** From a topology file to a plan: what `up`, `test`, `check`, `plan` and `graph` begin with. */

import { LabErrors } from "../../base/errors.ts";
import type { GivenAddresses } from "../topology/addresses.ts";
import { notYet } from "../topology/not-yet.ts";
import { readTopology } from "../topology/read.ts";
import type { Environment } from "../topology/variables.ts";
import { makePlan } from "./make-plan.ts";
import type { LabPlan } from "./plan.ts";

export interface PlanFileOptions {
  readonly toRun: boolean;
  readonly given?: GivenAddresses | undefined;
}

/**
 * @param options.given addresses that interfaces have already. @param options.toRun the lab is going to run (or `check` says whether it could): keys that this
 * version cannot do yet are errors (NOT_YET). Else they are only read, to draw a graph for instance.
 * @throws LabErrors, or LabError (FILE_UNREADABLE).
 */
export async function planFile(
  file: string,
  env: Environment,
  { toRun, given }: PlanFileOptions,
): Promise<LabPlan> {
  const topology = await readTopology(file, env, given);
  const missing = toRun ? notYet(topology) : [];
  if (missing.length > 0) throw new LabErrors(missing);
  return makePlan(topology);
}
