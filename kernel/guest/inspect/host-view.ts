/**
 * A guest as its host sees it: the processes it is made of, how its system calls are caught, and
 * where its RAM is. Everything is read from /proc, nothing is assumed: no debugger, no right but
 * that of having started the guest.
 *
 *     launcher -> (first of its pid namespace) -> kernel -> one process for each address space
 */

import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import type { ProcessRecord } from "../../../base/processes.ts";
import { hostProcessesOf } from "../host-processes.ts";

export type HostRole =
  | "launcher" // started the kernel and ends it; one of them is the first of its pid namespace
  | "kernel" // the guest's kernel, with its threads
  | "user space" // holds the address space of guest processes and runs their code
  | "helper"; // anything else that the kernel started

export interface HostProcess {
  readonly pid: number;
  /** In the guest's own pid namespace; null where it has none. */
  readonly pidInside: number | null;
  readonly name: string;
  readonly role: HostRole;
  readonly threads: number;
  /** proc(5): R running, S sleeping, T stopped, t stopped by its tracer. */
  readonly state: string;
  /** Where in the host's kernel it waits; null where the host does not tell. */
  readonly waitsIn: string | null;
  readonly residentBytes: number;
  readonly cpuSeconds: number;
}

/** A piece of guest RAM in an address space: the same bytes at both addresses. */
export interface RamMapping {
  readonly start: number;
  readonly end: number;
  /** Place in the file that is the guest's RAM: its physical address in the guest. */
  readonly physical: number;
}

export interface HostView {
  readonly processes: readonly HostProcess[];
  /** The kernel's own words: its command line without the first. */
  readonly arguments: readonly string[];
  /** Null while no program of the guest has an address space. */
  readonly interception: "seccomp" | "ptrace" | null;
  /** The file that is the guest's RAM; null where it can't be told. */
  readonly ram: { readonly bytes: number; readonly residentBytes: number } | null;
  /** By the pid of a user space process. */
  readonly addressSpaces: ReadonlyMap<number, readonly RamMapping[]>;
  /** What the kernel's descriptors are: `socket:[4711]`, a path. */
  readonly descriptors: ReadonlyMap<number, string>;
}

/** sysconf(_SC_CLK_TCK): 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
const SECCOMP_FILTER = "2";

/** Undefined where the guest has no kernel (any more). */
export function viewFromHost(launcher: ProcessRecord): HostView | undefined {
  const pids = hostProcessesOf(launcher);
  const launcherProgram = link(`/proc/${launcher.pid}/exe`);
  const kernel = pids.find((pid) => link(`/proc/${pid}/exe`) !== launcherProgram);
  if (kernel === undefined) return undefined;
  let interception: HostView["interception"] = null;
  const processes: HostProcess[] = [];
  const userSpaces: number[] = [];
  for (const pid of pids) {
    const status = fieldsOf(pid);
    if (status === undefined) continue;
    const caught = interceptionOf(status, kernel);
    const role: HostRole =
      pid === kernel
        ? "kernel"
        : link(`/proc/${pid}/exe`) === launcherProgram
          ? "launcher"
          : caught === null
            ? "helper"
            : "user space";
    if (role === "user space") {
      interception = caught;
      userSpaces.push(pid);
    }
    processes.push(describe(pid, role, status));
  }
  const ram = ramFileOf(kernel);
  return {
    processes,
    arguments: read(`/proc/${kernel}/cmdline`).split("\0").slice(1, -1),
    interception,
    ram: ram === undefined ? null : sizeOf(kernel, ram),
    addressSpaces: new Map(
      ram === undefined
        ? []
        : userSpaces.map((pid) => [
            pid,
            parseMaps(read(`/proc/${pid}/maps`)).filter(({ file }) => file === ram),
          ]),
    ),
    descriptors: descriptorsOf(kernel),
  };
}

/** seccomp(2), ptrace(2): what /proc/PID/status says of a process that the kernel has caught. */
function interceptionOf(status: ReadonlyMap<string, string>, kernel: number) {
  if (status.get("TracerPid") === String(kernel)) return "ptrace";
  return status.get("Seccomp") === SECCOMP_FILTER ? "seccomp" : null;
}

function describe(pid: number, role: HostRole, status: ReadonlyMap<string, string>): HostProcess {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [, inside] = status.get("NSpid")?.split("\t") ?? [];
  const waitsIn = read(`/proc/${pid}/wchan`);
  return {
    pid,
    pidInside: inside === undefined ? null : Number(inside),
    name: status.get("Name") ?? "",
    role,
    threads: Number(status.get("Threads") ?? 1),
    state: fields[0] ?? "?",
    waitsIn: waitsIn === "" || waitsIn === "0" ? null : waitsIn,
    residentBytes: Number.parseInt(status.get("VmRSS") ?? "0", 10) * 1024,
    cpuSeconds: (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND,
  };
}

/** /proc/PID/status by field; undefined where it is gone. */
function fieldsOf(pid: number): Map<string, string> | undefined {
  const text = read(`/proc/${pid}/status`);
  if (text === "") return undefined;
  return new Map(
    text.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
}

interface FileMapping extends RamMapping {
  /** Device and inode: a name for the file that lasts while it is mapped. */
  readonly file: string;
}

/** proc(5), /proc/PID/maps: the shared mappings of files. */
export function parseMaps(text: string): FileMapping[] {
  return [...text.matchAll(/^([0-9a-f]+)-([0-9a-f]+) ..[-x]s ([0-9a-f]+) (\S+ \d+)/gm)].flatMap(
    ([, start = "", end = "", offset = "", file = ""]) => {
      const mapping = {
        start: Number.parseInt(start, 16),
        end: Number.parseInt(end, 16),
        physical: Number.parseInt(offset, 16),
        file,
      };
      return file.endsWith(" 0") ? [] : [mapping];
    },
  );
}

/** The file that the kernel maps most of. linux: arch/um/kernel/physmem.c */
function ramFileOf(kernel: number): string | undefined {
  const bytes = new Map<string, number>();
  for (const { file, start, end } of parseMaps(read(`/proc/${kernel}/maps`))) {
    bytes.set(file, (bytes.get(file) ?? 0) + end - start);
  }
  return [...bytes].sort(([, a], [, b]) => b - a)[0]?.[0];
}

/** Its size, and what of it is there: a page that was never written has no memory behind it. */
function sizeOf(kernel: number, ram: string): HostView["ram"] {
  const inode = Number(ram.slice(ram.indexOf(" ") + 1));
  for (const fd of namesIn(`/proc/${kernel}/fd`)) {
    const stat = statSync(`/proc/${kernel}/fd/${fd}`, { throwIfNoEntry: false });
    if (stat?.isFile() && stat.ino === inode) {
      return { bytes: stat.size, residentBytes: stat.blocks * 512 };
    }
  }
  return null;
}

function descriptorsOf(kernel: number): Map<number, string> {
  return new Map(
    namesIn(`/proc/${kernel}/fd`).map((fd) => [Number(fd), link(`/proc/${kernel}/fd/${fd}`) ?? ""]),
  );
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
