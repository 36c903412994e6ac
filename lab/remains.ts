/**
 * What a lab leaves when it ends: nothing, and this is where that is seen to. Processes are ended by
 * their record only, pid and start time: a pid that was given to somebody else is not ours.
 */

import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { LabError } from "../base/errors.ts";
import { isAlive, signalProcess } from "../base/processes.ts";
import { hostProcessesOf } from "../kernel/guest/host-processes.ts";
import { type RecordedProcess, removeFolder } from "./run-folder.ts";

export interface Remains {
  readonly name: string;
  readonly folder: string;
  readonly processes: readonly RecordedProcess[];
}

const POLL_MS = 5;
const END_MS = 10_000;
const TERMINATE_MS = 2_000;

/** Waits until no process and no folder is left. Throws SUPERVISOR_FAILED with what stays. */
export async function awaitEnd({ name, folder, processes }: Remains): Promise<void> {
  const left = await awaitProcesses(processes, END_MS);
  if (left.length === 0 && !existsSync(folder)) return;
  const what = [
    ...left.map((process) => `${process.what} (${process.pid})`),
    ...(existsSync(folder) ? [folder] : []),
  ];
  throw new LabError("SUPERVISOR_FAILED", `lab ${name} did not end: left are ${what.join(", ")}`, {
    hint: "uml-lab clean",
  });
}

/** Ends what is left of a lab without a supervisor, and removes its folder. */
export async function endRemains({ name, folder, processes }: Remains): Promise<void> {
  const alive = processes.filter(isAlive);
  // A guest's host processes are found through the one that is recorded: look before it ends.
  const descendants = alive
    .filter(({ what }) => what !== "supervisor")
    .flatMap((process) => hostProcessesOf(process));
  for (const process of alive) signalProcess(process, "SIGTERM");
  for (const process of alive) signalProcess(process, "SIGCONT"); // a stopped one ends as well
  let left = await awaitProcesses(alive, TERMINATE_MS);
  if (left.length > 0) {
    for (const process of left) {
      const mine = hostProcessesOf(process).filter((pid) => descendants.includes(pid));
      for (const pid of mine.reverse()) killQuietly(pid);
    }
    left = await awaitProcesses(left, TERMINATE_MS);
  }
  if (left.length > 0) {
    const what = left.map((process) => `${process.what} (${process.pid})`).join(", ");
    throw new LabError("SUPERVISOR_FAILED", `lab ${name}: could not end ${what}`);
  }
  removeFolder(folder);
}

async function awaitProcesses(
  processes: readonly RecordedProcess[],
  mostMs: number,
): Promise<readonly RecordedProcess[]> {
  let left = processes.filter(isAlive);
  for (let waitedMs = 0; left.length > 0 && waitedMs < mostMs; waitedMs += POLL_MS) {
    await sleep(POLL_MS);
    left = left.filter(isAlive);
  }
  return left;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone meanwhile
  }
}
