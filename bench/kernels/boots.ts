/**
 * From the exec of a virtual machine to its first process: the same initramfs (a console and one
 * program that says a word) for User Mode Linux kernels and for QEMU's microvm without KVM.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { messageOf } from "../../base/errors.ts";
import { checkInitramfs } from "../../kernel/boot-check.ts";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { downloadPackages, findProgram } from "../../kernel/packages/apt.ts";
import { hostArchive } from "../../kernel/packages/archives.ts";
import { unpackPackage } from "../../kernel/packages/unpack.ts";
import { median } from "../table.ts";

const WORD = "a process ran";
const MOST_MS = 60_000;

export interface BootOptions {
  readonly folder: string;
  readonly rounds: number;
  readonly signal: AbortSignal;
}

/** Median milliseconds from exec to the first process's word. */
export async function measureUmlBoot(
  kernel: Kernel,
  seccomp: boolean,
  options: BootOptions,
): Promise<number> {
  return await medianOf(options, [
    ...["setarch", "-R", "taskset", "-c", "0", kernel.executable, "mem=64M"],
    `initrd=${initramfsIn(options.folder)}`,
    ...["rdinit=/init", "con=null", "con0=fd:0,fd:1", "ssl=null", "quiet"],
    ...(kernel.bootArguments ?? []),
    ...(seccomp ? ["seccomp=on"] : []),
  ]);
}

/** The same for QEMU's microvm by TCG; a text where it can't be measured. */
export async function measureMicrovmBoot(options: BootOptions): Promise<number | string> {
  try {
    return await bootMicrovm(options);
  } catch (error) {
    options.signal.throwIfAborted();
    return messageOf(error);
  }
}

async function bootMicrovm(options: BootOptions): Promise<number | string> {
  const qemu = findProgram("qemu-system-x86_64");
  if (qemu === undefined) return "QEMU is not installed (apt-get install qemu-system-x86)";
  const kernel = await machineKernel(options);
  if (kernel === undefined) return "no kernel for it could be had";
  return await medianOf({ ...options, rounds: Math.min(3, options.rounds) }, [
    ...[qemu, "-M", "microvm,isa-serial=on", "-accel", "tcg", "-m", "128", "-no-reboot"],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"],
    ...["-kernel", kernel, "-initrd", initramfsIn(options.folder)],
    ...["-append", `console=ttyS0 rdinit=/init quiet panic=-1 tsc=unstable ${knownClock()}`],
  ]);
}

/** Told, not calibrated: against TCG's timer that fails one time in five, and the kernel hangs. */
function knownClock(): string {
  const mhz = /^cpu MHz\s*: ([\d.]+)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1];
  return mhz === undefined ? "" : `tsc_early_khz=${Math.round(Number(mhz) * 1000)}`;
}

function initramfsIn(folder: string): string {
  const path = join(folder, "first-process.cpio");
  if (!existsSync(path)) writeFileSync(path, checkInitramfs());
  return path;
}

/** Debian's kernel for virtual machines. */
async function machineKernel({ folder, signal }: BootOptions): Promise<string | undefined> {
  const root = join(folder, "machine");
  const packages = join(folder, "machine-packages");
  for (const path of [root, packages]) mkdirSync(path, { recursive: true });
  const request = {
    packages: ["linux-image-cloud-amd64"],
    into: packages,
    closure: { installed: "host" as const },
  };
  for (const deb of await downloadPackages(hostArchive(), request, { signal })) {
    if (!/linux-image-\d/.test(deb)) continue;
    await unpackPackage(deb, root, { signal, except: ["./lib/*", "./usr/*"] });
  }
  const boot = join(root, "boot");
  const kernel = existsSync(boot)
    ? readdirSync(boot).find((name) => name.startsWith("vmlinuz-"))
    : undefined;
  return kernel === undefined ? undefined : join(boot, kernel);
}

async function medianOf(options: BootOptions, command: readonly string[]): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < options.rounds; round++) times.push(await timeBoot(command, options));
  return median(times);
}

async function timeBoot(
  command: readonly string[],
  { folder, signal }: BootOptions,
): Promise<number> {
  const start = performance.now();
  const child = spawn(command[0] as string, command.slice(1), {
    cwd: folder,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HOME: folder, TMPDIR: "/dev/shm" },
  });
  const ended = once(child, "close");
  const kill = () => killGroup(child);
  const limit = setTimeout(kill, MOST_MS);
  signal.addEventListener("abort", kill, { once: true });
  try {
    let said = "";
    for await (const chunk of (child.stdout as Readable).setEncoding("utf8")) {
      said += chunk;
      if (said.includes(WORD)) return performance.now() - start;
    }
    throw new Error(`${command[0]} ended before its first process ran: ${said.slice(-300)}`);
  } finally {
    clearTimeout(limit);
    signal.removeEventListener("abort", kill);
    kill();
    await ended;
  }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // it is gone
  }
}
