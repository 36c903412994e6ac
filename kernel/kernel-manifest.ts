/** What is written down about a kernel in the cache, and how a kernel is asked what it can do. */

import { execFileSync } from "node:child_process";
import { LabError, messageOf } from "../base/errors.ts";
import type { Kernel } from "./guest/spec.ts";

export interface KernelManifest {
  readonly id: string;
  readonly kind: "debian" | "lean";
  readonly release: string;
  /** Relative to the folder. */
  readonly executable: string;
  /** Relative to the folder; holds modules.dep. null: all built in. */
  readonly modules: string | null;
  /** Relative to the folder: a squashfs of the same modules; null or absent: none. */
  readonly modulesImage?: string | null;
  readonly bootArguments?: readonly string[];
  readonly features: Kernel["features"];
  /** What it was made from, for `kernel list`: packages and versions, or source and configuration. */
  readonly madeFrom: readonly string[];
  /** ISO 8601. */
  readonly madeAt: string;
}

const PROBE_TIMEOUT_MS = 10_000;

/**
 * Asks a kernel for its release and options (`--version`, `--help`: both end at once).
 * Throws NO_KERNEL if it doesn't run here.
 */
export function probeKernel(executable: string): Pick<Kernel, "release" | "features"> {
  const ask = (option: string) =>
    execFileSync(executable, [option], {
      encoding: "utf8",
      timeout: PROBE_TIMEOUT_MS,
      killSignal: "SIGKILL",
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 1 << 20,
      // UML looks for its folder in HOME even when it only prints
      env: { ...process.env, HOME: process.env.HOME ?? "/" },
    });
  try {
    const release = ask("--version").trim().split("\n").at(-1) ?? "";
    return { release, features: featuresOf(ask("--help")) };
  } catch (cause) {
    throw new LabError("NO_KERNEL", `${executable} does not run here: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** The help text names an option only where it is built in. */
export function featuresOf(help: string): Kernel["features"] {
  return { seccomp: /^seccomp=/m.test(help), timeTravel: /^time-travel/m.test(help) };
}
