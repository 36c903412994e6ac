/** The host processes of a guest: those of the process group its launcher leads. */

import { readdirSync, readFileSync } from "node:fs";
import type { ProcessRecord } from "../../base/processes.ts";

/** Their pids, the launcher's among them; empty once all are gone. */
export function hostProcessesOf({ pid: leader }: ProcessRecord): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => groupOf(pid) === leader);
}

/** proc(5): /proc/PID/stat, field 5. */
function groupOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : Number(fields[2]);
  } catch {
    return undefined;
  }
}
