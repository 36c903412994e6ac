/**
 * The folder of one running lab, `RUN/NAME`, and what is written in it:
 *
 *     lab.json      who supervises it since when, from which file, and its state
 *     processes     one line of JSON for every process, written as soon as there is one
 *     plan.json     what the lab is
 *     control       the control socket
 *     metrics       HTTP, for programs that gather counters
 *     n0, n1, …     the sockets of the guests' NICs
 *     o3            the socket of a way out, numbered like its NIC
 *     g/GUEST/      a guest's console.log and whatever its boot needs
 *     supervisor.log
 *
 * A folder is prepared under a name with a dot and renamed into its place, which only one of two
 * can do; it leaves its place by a rename as well. So whatever has a lab's name is whole.
 */

import {
  appendFileSync,
  type Dirent,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { LabError } from "../base/errors.ts";
import { runFolder } from "../base/folders.ts";
import type { ProcessRecord } from "../base/processes.ts";
import type { LabSummary } from "./api.ts";

export interface LabRecord {
  readonly name: string;
  readonly file: string;
  readonly state: LabSummary["state"];
  readonly supervisor: ProcessRecord;
  readonly guests: number;
  /** ISO 8601. */
  readonly since: string;
  readonly problem: string | null;
}

export interface RecordedProcess extends ProcessRecord {
  /** `fabric`, `guest alice`. */
  readonly what: string;
}

/** linux: include/uapi/linux/un.h, UNIX_PATH_MAX, less the final zero. */
const MAX_SOCKET_PATH = 107;
const LONGEST_SOCKET = "n9999";

export const labFolder = (name: string): string => join(runFolder(), name);
export const controlPath = (folder: string): string => join(folder, "control");
export const metricsPath = (folder: string): string => join(folder, "metrics");
export const nicPath = (folder: string, index: number): string => join(folder, `n${index}`);
export const outletPath = (folder: string, index: number): string => join(folder, `o${index}`);
export const guestFolder = (folder: string, guest: string): string => join(folder, "g", guest);
export const logPath = (folder: string): string => join(folder, "supervisor.log");

/** Throws NO_RIGHT when sockets in the folder could not be bound. */
export function checkSocketPaths(folder: string): void {
  const longest = join(folder, LONGEST_SOCKET);
  const bytes = Math.max(Buffer.byteLength(longest), Buffer.byteLength(controlPath(folder)));
  if (bytes <= MAX_SOCKET_PATH) return;
  throw new LabError(
    "NO_RIGHT",
    `the run folder's path is too long for unix sockets: ${longest} has ${bytes} bytes, ` +
      `and ${MAX_SOCKET_PATH} are possible`,
    { hint: "set XDG_RUNTIME_DIR to a shorter path, or give the lab a shorter name" },
  );
}

/** A folder to be, under a name that tells its maker. */
export function prepareFolder({ pid, startTime }: ProcessRecord): string {
  const folder = join(runFolder(), `.new-${pid}-${startTime}-${Date.now().toString(36)}`);
  for (;;) {
    mkdirSync(runFolder(), { recursive: true, mode: 0o700 });
    try {
      mkdirSync(folder, { mode: 0o700 });
      return folder;
    } catch (error) {
      // the last lab's end took the run folder away meanwhile
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}

/** Gives a prepared folder its place; false when the place is taken. */
export function claimPlace(prepared: string, folder: string): boolean {
  try {
    renameSync(prepared, folder);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOTEMPTY" || code === "EEXIST") return false;
    throw error;
  }
}

/**
 * Takes the folder out of its place, then removes it: nobody meets half a lab. The run folder goes
 * with the last one.
 */
export function removeFolder(folder: string): void {
  const gone = join(runFolder(), `.old-${process.pid}-${process.hrtime.bigint().toString(36)}`);
  try {
    renameSync(folder, gone);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  rmSync(gone, { recursive: true, force: true });
  removeRunFolder();
}

/** Unless there is something in it. */
export function removeRunFolder(): void {
  try {
    rmdirSync(runFolder());
  } catch {
    // other labs are in it, or it is gone
  }
}

/** What is in the run folder; nothing where there is none. */
function entries(): Dirent[] {
  try {
    return readdirSync(runFolder(), { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

export function writeRecord(folder: string, record: LabRecord): void {
  const path = join(folder, "lab.json");
  writeFileSync(`${path}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Undefined where there is no such lab, or no telling. */
export function readRecord(folder: string): LabRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "lab.json"), "utf8")) as LabRecord;
  } catch {
    return undefined;
  }
}

export function recordInFolder(folder: string, what: string, record: ProcessRecord): void {
  const { pid, startTime } = record;
  appendFileSync(join(folder, "processes"), `${JSON.stringify({ what, pid, startTime })}\n`, {
    mode: 0o600,
  });
}

/** Every process that was ever written down; a line that a crash cut short is left out. */
export function recordedProcesses(folder: string): RecordedProcess[] {
  let text: string;
  try {
    text = readFileSync(join(folder, "processes"), "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((line) => {
    try {
      const { what, pid, startTime } = JSON.parse(line) as RecordedProcess;
      return Number.isInteger(pid) && pid > 1 ? [{ what, pid, startTime }] : [];
    } catch {
      return [];
    }
  });
}

/** Names of the labs that have a place. */
export function placedLabs(): string[] {
  return entries()
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .map(({ name }) => name)
    .sort();
}

/** Folders that were being made or removed when their maker was killed. */
export function abandonedFolders(isAlive: (record: ProcessRecord) => boolean): string[] {
  return entries()
    .filter(({ name }) => {
      const made = /^\.new-(\d+)-(\d+)-/.exec(name);
      if (made) return !isAlive({ pid: Number(made[1]), startTime: made[2] as string });
      const old = /^\.old-(\d+)-/.exec(name);
      return old !== null && !existsSync(`/proc/${old[1]}`);
    })
    .map(({ name }) => join(runFolder(), name));
}
