/**
 * What a guest costs the host: memory and CPU time of all its host processes.
 * Sources: proc(5), /proc/PID/smaps_rollup (Pss) and /proc/PID/stat, fields 14 to 17.
 */

import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { ProcessRecord } from "../../base/processes.ts";
import { hostProcessesOf } from "../../kernel/guest/host-processes.ts";

/** sysconf(_SC_CLK_TCK): 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Usage {
  readonly residentBytes: number | null;
  readonly cpuSeconds: number | null;
}

export async function usageOf(leader: ProcessRecord): Promise<Usage> {
  const pids = hostProcessesOf(leader);
  const all = await Promise.all(pids.map(residentBytesOf));
  const known = all.filter((bytes) => bytes !== null);
  const ticks = pids.map(cpuTicksOf).filter((count) => count !== null);
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  return {
    residentBytes: known.length === 0 ? null : sum(known),
    cpuSeconds: ticks.length === 0 ? null : sum(ticks) / TICKS_PER_SECOND,
  };
}

async function residentBytesOf(pid: number): Promise<number | null> {
  try {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, "latin1");
    const match = /^Pss:\s+(\d+) kB$/m.exec(text);
    return match === null ? null : Number(match[1]) * 1024;
  } catch {
    return null;
  }
}

function cpuTicksOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return [11, 12, 13, 14].reduce((total, index) => total + Number(fields[index]), 0);
  } catch {
    return null;
  }
}

/** CPUs this process may use: where guests can be pinned. */
export function allowedCpus(status = readFileSync("/proc/self/status", "latin1")): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? "0";
  return list.split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
