/**
 * Runs one program to its end: output gathered or handed on line by line, ended by pid when the
 * signal aborts (TERM, then KILL), and by the kernel when this process dies first. It inherits the
 * lock under which it works.
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Readable } from "node:stream";
import { LabError } from "../../base/errors.ts";

const GRACE_MS = 2000;
const KEPT_OUTPUT = 64 * 1024;

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  /** A descriptor the child keeps open (a lock). */
  readonly lockFd?: number;
  /** Lines of standard output as they come. */
  readonly onLine?: (line: string) => void;
  /** Lines from the descriptor that is number 4 in the child, for programs that report there. */
  readonly onStatusLine?: (line: string) => void;
}

export interface RunResult {
  readonly code: number;
  /** The end of what it printed. */
  readonly stdout: string;
  readonly stderr: string;
}

/** The descriptor number under which a child finds its status pipe. */
export const STATUS_FD = 4;

// util-linux; part of every Debian
const SETPRIV = "/usr/bin/setpriv";

/** Runs `command` and resolves with how it ended; rejects only if it can't start, or on abort. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { signal } = options;
  signal?.throwIfAborted();
  const argv = existsSync(SETPRIV)
    ? [SETPRIV, "--pdeathsig", "TERM", "--", ...command]
    : [...command];
  const child = spawn(argv[0] as string, argv.slice(1), {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe", options.lockFd ?? "ignore", "pipe"],
  });
  const stdout = gatherOutput(child.stdout as Readable, options.onLine);
  const stderr = gatherOutput(child.stderr as Readable);
  gatherOutput(child.stdio[STATUS_FD] as Readable, options.onStatusLine);
  return new Promise((resolve, reject) => {
    let killTimer: NodeJS.Timeout | undefined;
    const onAbort = () => {
      child.kill("SIGTERM");
      killTimer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    const settle = () => {
      signal?.removeEventListener("abort", onAbort);
      clearTimeout(killTimer);
    };
    child.once("error", (cause) => {
      settle();
      reject(new LabError("NO_TOOL", `${command[0]} can't be started`, { cause }));
    });
    child.once("close", (code, killedBy) => {
      settle();
      if (signal?.aborted) reject(signal.reason);
      else resolve({ code: code ?? (killedBy ? 255 : 0), stdout: stdout(), stderr: stderr() });
    });
  });
}

/** Like `run`, and a status other than 0 is FETCH_FAILED with the end of what it said. */
export async function runOrFail(
  command: readonly string[],
  what: string,
  options: RunOptions & { readonly place?: { run: typeof run } } = {},
): Promise<RunResult> {
  const result = await (options.place ?? { run }).run(command, options);
  if (result.code !== 0) {
    const said = (result.stderr.trim() || result.stdout.trim()).split("\n").slice(-6).join("\n  ");
    throw new LabError(
      "FETCH_FAILED",
      `${what}: ${command[0]} ended with ${result.code}\n  ${said}`,
    );
  }
  return result;
}

/** Hands lines on as they come; the answer gives the end of the whole. */
export function gatherOutput(stream: Readable, onLine?: (line: string) => void): () => string {
  let kept = "";
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    kept = (kept + chunk).slice(-KEPT_OUTPUT);
    if (onLine === undefined) return;
    const lines = (rest + chunk).split(/[\r\n]/);
    rest = lines.pop() as string;
    for (const line of lines) onLine(line);
  });
  stream.on("error", () => {});
  return () => kept;
}
