/**
 * What this machine has and lacks for running labs, each finding with the command that mends it.
 * Nothing is fetched and nothing is changed; what can be tried is tried, not guessed.
 */

import { execFile } from "node:child_process";
import {
  accessSync,
  constants,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism, freemem, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { messageOf } from "../base/errors.ts";
import { cacheFolder } from "../base/folders.ts";
import { formatBytes, formatMemory } from "../base/units.ts";
import { dockerEngine } from "./docker/engine.ts";
import { listImages } from "./images.ts";
import { listKernels } from "./kernels.ts";
import { findProgram, haveApt } from "./packages/apt.ts";
import { findTool } from "./tools.ts";

export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** required: no lab runs without; recommended: labs are slower or less confined; optional. */
  readonly level: "required" | "recommended" | "optional";
  readonly found: string;
  /** The command, or what else to do; null where there is nothing to mend. */
  readonly mend: string | null;
}

const PROBE_TIMEOUT_MS = 5_000;
/** A first `up` needs about 300 MB in the cache while it fetches, 110 MB afterwards. */
const CACHE_BYTES = 400e6;
const MEMORY_BYTES = 512e6;
const OPEN_FILES = 4096;

const execute = promisify(execFile);

/** Looks at everything, all at once; a probe that fails is a finding, not an error. */
export async function examineMachine(): Promise<Finding[]> {
  const examinations: readonly (() => Finding | Promise<Finding>)[] = [
    examineArchitecture,
    examineNode,
    examineKoffi,
    examineApt,
    examineKernels,
    examineImages,
    examineUserNamespaces,
    examineSharedMemory,
    examineMemory,
    examineCores,
    examineDisk,
    examineOpenFiles,
    examineCompiler,
    examineDocker,
  ];
  return await Promise.all(
    examinations.map(async (examine) => {
      try {
        return await examine();
      } catch (error) {
        return {
          name: examine.name.replace("examine", "").toLowerCase(),
          ok: false,
          level: "optional",
          found: `could not be examined: ${messageOf(error)}`,
          mend: null,
        } satisfies Finding;
      }
    }),
  );
}

function finding(
  name: string,
  level: Finding["level"],
  ok: boolean,
  found: string,
  mend: string,
): Finding {
  return { name, level, ok, found, mend: ok ? null : mend };
}

function examineArchitecture(): Finding {
  const { arch, platform } = process;
  return finding(
    "machine",
    "required",
    arch === "x64" && platform === "linux",
    `${platform} on ${arch}, ${cpuModel()}`,
    "use a Linux machine with an x86-64 processor: User Mode Linux runs on nothing else",
  );
}

function cpuModel(): string {
  return (
    /^model name\s*:\s*(.*)$/m.exec(readText("/proc/cpuinfo") ?? "")?.[1] ?? "unknown processor"
  );
}

function examineNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return finding(
    "node",
    "required",
    major > 20 || (major === 20 && minor >= 19),
    process.version,
    "install Node.js 20.19 or newer",
  );
}

async function examineKoffi(): Promise<Finding> {
  try {
    const { default: koffi } = await import("koffi");
    koffi.load("libc.so.6").func("int getpid()")();
    return finding("koffi", "required", true, `calls libc (${koffi.version})`, "");
  } catch (error) {
    return finding(
      "koffi",
      "required",
      false,
      `does not load: ${messageOf(error)}`,
      "npm ci (the package brings binaries for glibc and musl)",
    );
  }
}

function examineApt(): Finding {
  const missing = ["apt-get", "apt-config", "dpkg-deb", "tar"].filter((name) => !findProgram(name));
  return finding(
    "packages",
    "recommended",
    missing.length === 0,
    missing.length === 0 ? "apt-get and dpkg-deb" : `no ${missing.join(", ")}`,
    "use Debian or Ubuntu, or start a Docker engine, or set UML_LAB_KERNEL and use an image at hand",
  );
}

async function examineKernels(): Promise<Finding> {
  const kernels = await listKernels();
  const override = process.env.UML_LAB_KERNEL;
  return finding(
    "kernel",
    haveApt() ? "optional" : "required",
    kernels.length > 0,
    kernels.length > 0
      ? [...new Set(kernels.map(({ id }) => id))].join(", ")
      : override
        ? `UML_LAB_KERNEL=${override} is no executable file`
        : "none yet",
    "uml-lab kernel fetch (the first `up` does it)",
  );
}

async function examineImages(): Promise<Finding> {
  const images = await listImages();
  return finding(
    "image",
    haveApt() ? "optional" : "required",
    images.length > 0,
    images.length > 0 ? [...new Set(images.map(({ id }) => id))].join(", ") : "none yet",
    "uml-lab image build base (the first `up` does it)",
  );
}

/** Guests are confined in namespaces of their own, which needs a user namespace without root. */
async function examineUserNamespaces(): Promise<Finding> {
  const problem = await failureOf("unshare", ["-U", "-r", "-m", "-p", "-f", "true"]);
  const reasons = [
    ...(readText("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")?.trim() === "1"
      ? ["AppArmor restricts them"]
      : []),
    ...(readText("/proc/sys/kernel/unprivileged_userns_clone")?.trim() === "0"
      ? ["kernel.unprivileged_userns_clone is 0"]
      : []),
    ...(readText("/proc/sys/user/max_user_namespaces")?.trim() === "0"
      ? ["user.max_user_namespaces is 0"]
      : []),
  ];
  const mends = {
    "AppArmor restricts them": "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    "kernel.unprivileged_userns_clone is 0": "sudo sysctl kernel.unprivileged_userns_clone=1",
    "user.max_user_namespaces is 0": "sudo sysctl user.max_user_namespaces=15000",
  } as Record<string, string>;
  const first = reasons[0];
  return finding(
    "user namespaces",
    "recommended",
    problem === undefined,
    problem === undefined
      ? "can be made"
      : ["can't be made", ...(reasons.length > 0 ? reasons : [problem])].join("; "),
    (first && mends[first]) ?? "allow user namespaces, or run as root in a container that has them",
  );
}

/** UML's RAM is a file there, mapped executable. */
async function examineSharedMemory(): Promise<Finding> {
  const folder = "/dev/shm";
  let room: number;
  try {
    const stat = statfsSync(folder);
    room = stat.bavail * stat.bsize;
  } catch {
    return finding("/dev/shm", "required", false, "missing", "mount -t tmpfs tmpfs /dev/shm");
  }
  const path = mkdtempSync(join(folder, "uml-lab-doctor-"));
  try {
    const program = join(path, "try");
    writeFileSync(program, "#!/bin/sh\nexit 0\n", { mode: 0o700 });
    const problem = await failureOf(program, []);
    const roomy = room >= MEMORY_BYTES;
    return finding(
      "/dev/shm",
      "required",
      problem === undefined && roomy,
      problem === undefined ? `executable, ${formatMemory(room)} free` : "mounted noexec",
      problem === undefined
        ? "sudo mount -o remount,size=50% /dev/shm (Docker: --shm-size=1g)"
        : "sudo mount -o remount,exec /dev/shm (Docker: --tmpfs /dev/shm:exec,size=1g)",
    );
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

function examineMemory(): Finding {
  const available =
    Number(
      /^MemAvailable:\s+(\d+)/m.exec(readText("/proc/meminfo") ?? "")?.[1] ?? freemem() / 1024,
    ) * 1024;
  return finding(
    "memory",
    "required",
    available >= MEMORY_BYTES,
    `${formatMemory(available)} of ${formatMemory(totalmem())} available`,
    "free some: a guest takes about 40 MB",
  );
}

function examineCores(): Finding {
  const cores = availableParallelism();
  return finding(
    "processors",
    "recommended",
    cores >= 2,
    String(cores),
    "give the machine a second one: guests and the fabric share it",
  );
}

function examineDisk(): Finding {
  const folder = cacheFolder();
  const there = firstThere(folder);
  const { bavail, bsize } = statfsSync(there);
  const room = bavail * bsize;
  let writable = true;
  try {
    accessSync(there, constants.W_OK);
  } catch {
    writable = false;
  }
  return finding(
    "cache",
    "required",
    writable && room >= CACHE_BYTES,
    writable ? `${folder}, ${formatBytes(room)} free` : `${folder} can't be written`,
    "set UML_LAB_CACHE to a folder of your own with 400 MB of room",
  );
}

function examineOpenFiles(): Finding {
  const limits = readText("/proc/self/limits") ?? "";
  const match = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m.exec(limits);
  const count = (text: string | undefined) =>
    text === undefined || text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text);
  const hard = count(match?.[2]);
  return finding(
    "open files",
    "optional",
    hard >= OPEN_FILES,
    `at most ${match?.[2] ?? "unknown"} (${match?.[1] ?? "unknown"} without asking)`,
    "raise `ulimit -Hn`: a lab of 100 guests opens about 2000",
  );
}

function examineCompiler(): Finding {
  const path = findProgram("gcc") ?? findProgram("cc") ?? findTool("tcc");
  return finding(
    "compiler",
    "optional",
    path !== undefined,
    path ?? "none; Debian's tcc is fetched for the agent",
    "apt-get install gcc (only `uml-lab kernel build` needs it)",
  );
}

async function examineDocker(): Promise<Finding> {
  const engine = await dockerEngine();
  return finding("docker", "optional", engine.docker !== undefined, engine.found, engine.hint);
}

/** Undefined where the program ends with 0, else why not. */
async function failureOf(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    await execute(program, [...args], { timeout: PROBE_TIMEOUT_MS, cwd: tmpdir() });
    return undefined;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    return stderr?.trim() || message;
  }
}

/** The folder, or the first above it that exists. */
function firstThere(path: string): string {
  for (let at = path; ; at = dirname(at)) {
    if (statSync(at, { throwIfNoEntry: false }) !== undefined || at === dirname(at)) return at;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
