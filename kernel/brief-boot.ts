/**
 * Boots a kernel that does one thing and ends: no guest of a lab, but a question to the kernel. Its
 * initramfs has a program that does it and powers off.
 */

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TIMEOUT_MS = 30_000;
const GRACE_MS = 1_000;
const MOST_SAID = 4000;

/** `setarch -R` of util-linux: without it UML loses tens of megabytes to a random gap. */
const SETARCH = "/usr/bin/setarch";

export interface BriefBootInput {
  readonly executable: string;
  readonly initramfs: Uint8Array;
  readonly arguments: readonly string[];
  /** A private folder for what the kernel and we put down. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

/** The last of what it said, and whether it had to be stopped. */
export async function bootBriefly(
  input: BriefBootInput,
): Promise<{ readonly said: string; readonly tooLong: boolean }> {
  const home = join(input.scratch, "brief-boot");
  mkdirSync(home, { recursive: true });
  const initramfs = join(home, "initramfs");
  writeFileSync(initramfs, input.initramfs);
  const command = [
    ...(existsSync(SETARCH) ? [SETARCH, "-R"] : []),
    input.executable,
    "mem=64M",
    `initrd=${initramfs}`,
    "rdinit=/init",
    "con=null",
    "con0=fd:0,fd:1",
    "ssl=null",
    `uml_dir=${home}/`,
    "panic=-1",
    "quiet",
    ...input.arguments,
  ];
  const child = spawn(command[0] as string, command.slice(1), {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HOME: home },
    cwd: home,
    detached: true, // UML is a group of processes
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      said = (said + chunk).slice(-MOST_SAID);
    });
  }
  const closed = new Promise<void>((resolve) => {
    child.once("error", () => resolve());
    child.once("close", () => resolve());
  });
  const limit = AbortSignal.any([
    AbortSignal.timeout(TIMEOUT_MS),
    ...(input.signal ? [input.signal] : []),
  ]);
  const kill = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // it is gone
    }
  };
  const onLimit = () => kill("SIGTERM");
  limit.addEventListener("abort", onLimit, { once: true });
  if (limit.aborted) onLimit();
  await Promise.race([closed, aborted(limit).then(() => sleep(GRACE_MS))]);
  limit.removeEventListener("abort", onLimit);
  kill("SIGKILL");
  await closed;
  return { said, tooLong: limit.aborted };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true }),
  );
}
