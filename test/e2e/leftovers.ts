/**
 * What labs could leave on a machine, before and after: processes, files in the run folder and the
 * temporary folders, mounts, network interfaces.
 */

import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NOBODY } from "./nobody.ts";

export interface Leftovers {
  /** Those started with our run folder, and all that descends from them. */
  readonly processes: readonly string[];
  readonly files: readonly string[];
  readonly sharedMemory: readonly string[];
  readonly mounts: readonly string[];
  readonly interfaces: readonly string[];
}

/** @param folders run folder and temporary folder of the labs that are looked at. */
export function lookForLeftovers(folders: readonly string[]): Leftovers {
  return {
    processes: processesOf(folders),
    files: folders.flatMap((folder) =>
      existsSync(folder) ? (readdirSync(folder, { recursive: true }) as string[]).sort() : [],
    ),
    sharedMemory: ownSharedMemory(),
    mounts: readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .filter((line) => /uml/.test(line)),
    interfaces: readdirSync("/sys/class/net").sort(),
  };
}

/** Memory files of our labs and of those that root's tests start as nobody; other users have their own. */
export function ownSharedMemory(): string[] {
  const uid = process.getuid?.();
  const users = uid === 0 ? [uid, NOBODY] : [uid];
  return readdirSync("/dev/shm").filter((name) => {
    const entry = lstatSync(join("/dev/shm", name), { throwIfNoEntry: false });
    return name.startsWith("uml-lab-") && users.includes(entry?.uid);
  });
}

export function processesOf(folders: readonly string[]): string[] {
  const parents = new Map<number, number>();
  const names = new Map<number, string>();
  const ours = new Set<number>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (fields[0] === "Z" || fields[0] === "X") continue;
      parents.set(pid, Number(fields[1]));
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ");
      names.set(pid, `${pid} ${command.slice(0, 120)}`);
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
      if (folders.some((folder) => command.includes(folder) || environment.includes(folder))) {
        ours.add(pid);
      }
    } catch {
      // gone meanwhile, or not ours to read
    }
  }
  for (let before = -1; before !== ours.size; ) {
    before = ours.size;
    for (const [pid, parent] of parents) if (ours.has(parent)) ours.add(pid);
  }
  return [...ours].map((pid) => names.get(pid) ?? String(pid));
}
