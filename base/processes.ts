/**
 * Processes by pid *and* start time, so that a recycled pid is never mistaken for ours.
 * Source: proc(5), /proc/PID/stat, field 22 (starttime, in clock ticks since boot).
 */

import { readFileSync } from "node:fs";

export interface ProcessRecord {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, as text. */
  readonly startTime: string;
}

/** The start time of a living process, or undefined where there is none (or only a zombie). */
export function startTimeOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // The command name (field 2) may hold spaces and parentheses: count from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return undefined;
  return fields[19];
}

/** Records a process we just started; undefined where it is gone already. */
export function recordProcess(pid: number): ProcessRecord | undefined {
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive(record: ProcessRecord): boolean {
  return startTimeOf(record.pid) === record.startTime;
}

/**
 * Sends a signal to a process (or, with `group`, to the process group it leads) if it is still the
 * one recorded. True when it was sent.
 */
export function signalProcess(
  record: ProcessRecord,
  signal: NodeJS.Signals,
  { group = false } = {},
): boolean {
  if (!isAlive(record)) return false;
  try {
    process.kill(group ? -record.pid : record.pid, signal);
    return true;
  } catch {
    return false;
  }
}
