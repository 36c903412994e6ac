/**
 * The checks of a topology: commands in guests whose output and exit status are judged. Each is run
 * in the order of the file; what does not hold is run again until it does or its time is up.
 */

import type { CheckResult } from "../api.ts";
import type { CheckPlan } from "../plan/plan.ts";
import type { Clock } from "./reachability.ts";

export interface CheckRun {
  /** Standard output and error, as far as it is kept. */
  readonly output: string;
  /** null: it did not end in time, or could not be run. */
  readonly exit: number | null;
}

export interface CheckOptions {
  readonly checks: readonly CheckPlan[];
  /** Runs a command in a guest's shell for at most so long. Never rejects but for the signal. */
  readonly run: (guest: string, command: string, timeoutMs: number) => Promise<CheckRun>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onCheck: (result: CheckResult) => void;
}

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;
/** A command is given this long even when its time is nearly up. */
const LEAST_TIMEOUT_MS = 1000;

export async function judgeChecks(options: CheckOptions): Promise<CheckResult[]> {
  const { clock, signal } = options;
  const results = new Map<CheckPlan, CheckResult>();
  const startedAt = new Map<CheckPlan, number>();
  const leftMs = (check: CheckPlan) =>
    (startedAt.get(check) as number) + check.withinMs - clock.now();
  let wanted: readonly CheckPlan[] = options.checks;
  let pauseMs = FIRST_PAUSE_MS;
  for (;;) {
    const again: CheckPlan[] = [];
    for (const check of wanted) {
      signal.throwIfAborted();
      if (!startedAt.has(check)) startedAt.set(check, clock.now());
      const timeoutMs = Math.max(leftMs(check), LEAST_TIMEOUT_MS);
      const run = await options.run(check.on, check.run, timeoutMs);
      signal.throwIfAborted();
      const result = judgeRun(check, run);
      results.set(check, result);
      if (result.ok || leftMs(check) <= 0) options.onCheck(result);
      else again.push(check);
    }
    if (again.length === 0) break;
    wanted = again;
    await clock.sleep(
      Math.min(pauseMs, ...again.map((check) => Math.max(leftMs(check), 1))),
      signal,
    );
    pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
  }
  return options.checks.map((check) => results.get(check) as CheckResult);
}

export function judgeRun(check: CheckPlan, { output, exit }: CheckRun): CheckResult {
  const ok = exit === check.exit && matches(check.output, output);
  return {
    name: check.name,
    on: check.on,
    ok,
    points: ok ? check.points : 0,
    of: check.points,
    output,
    exit,
  };
}

function matches(wanted: CheckPlan["output"], output: string): boolean {
  if (wanted === undefined) return true;
  return "regexp" in wanted
    ? new RegExp(wanted.regexp, "m").test(output)
    : output.includes(wanted.contains);
}
