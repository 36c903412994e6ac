/**
 * The host processes of a guest: its launcher and all that descends from it. UML leads a session of
 * its own, so the process group does not find them; and none of them is ever adopted by another
 * (the first process of their pid namespace or the launcher itself adopts orphans).
 */

import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { isAlive, type ProcessRecord, recordProcess } from "../../base/processes.ts";

/** Their pids, parents before children; empty once the launcher is gone. */
export function hostProcessesOf(launcher: ProcessRecord): number[] {
  if (!isAlive(launcher)) return [];
  const childrenOf = hasChildrenFiles() ? listedChildren : scannedChildren();
  const found = [launcher.pid];
  for (const pid of found) found.push(...childrenOf(pid));
  return found;
}

/** The guest's kernel: the first that is another program than the launcher. Undefined until it is executed. */
export function kernelProcessOf(launcher: ProcessRecord): ProcessRecord | undefined {
  const program = programOf(launcher.pid);
  const kernel = hostProcessesOf(launcher).find((pid) => {
    const other = programOf(pid);
    return other !== undefined && other !== program;
  });
  return kernel === undefined ? undefined : recordProcess(kernel);
}

function programOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined; // gone meanwhile
  }
}

/** proc(5): R running, S sleeping, T stopped, t stopped by its tracer; undefined where it is gone. */
export function stateOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[0];
  } catch {
    return undefined;
  }
}

/** proc(5): /proc/PID/task/TID/children, where the host's kernel has it (CONFIG_PROC_CHILDREN). */
function hasChildrenFiles(): boolean {
  return existsSync(`/proc/self/task/${process.pid}/children`);
}

function listedChildren(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1")
        .split(" ")
        .filter(Boolean)
        .map(Number),
    );
  } catch {
    return []; // gone meanwhile
  }
}

/** From everybody's parent: with many guests this is slow. */
function scannedChildren(): (pid: number) => number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = parentOf(name);
    if (parent === undefined) continue;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(name)]);
    else siblings.push(Number(name));
  }
  return (pid) => children.get(pid) ?? [];
}

/** proc(5): /proc/PID/stat, field 4. Undefined where it is gone. */
function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}

/** Whether a debugger traces it: under ptrace, a guest's programs are traced by its kernel. */
export function isTraced(pid: number): boolean {
  try {
    return !/^TracerPid:\s*0$/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}
