/**
 * Where packages are fetched and unpacked: this machine, or a Debian container on it. Both see the
 * cache at the same path; programs, apt's configuration and libraries are the place's own.
 */

import { spawn } from "node:child_process";
import { basename } from "node:path";
import type { Readable, Writable } from "node:stream";
import { LabError } from "../../base/errors.ts";
import { type RunOptions, type RunResult, run, STATUS_FD } from "./child.ts";

export interface Place extends AsyncDisposable {
  /** For messages: `this machine`, `a container`. */
  readonly name: string;
  /** Under this, its configuration can be read: `/`, or a folder with a copy. */
  readonly root: string;
  /** The user that its programs run as. */
  readonly uid: number;
  /** The descriptor on which a program reports to `onStatusLine`. */
  readonly statusFd: number;
  /** Like `run`: rejects only if it can't start, or on abort. */
  run(command: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** `source | sink`; throws FETCH_FAILED where either fails. */
  pipe(source: readonly string[], sink: readonly string[], options: PipeOptions): Promise<void>;
}

export interface PipeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly lockFd?: number | undefined;
  /** For messages: `unpacking x.deb`. */
  readonly what: string;
}

export const thisMachine: Place = {
  name: "this machine",
  root: "/",
  uid: process.getuid?.() ?? -1,
  statusFd: STATUS_FD,
  run,
  pipe,
  [Symbol.asyncDispose]: async () => {},
};

async function pipe(
  [sourceName, ...sourceArgs]: readonly string[],
  [sinkName, ...sinkArgs]: readonly string[],
  { signal, lockFd, what }: PipeOptions,
): Promise<void> {
  signal?.throwIfAborted();
  const source = spawn(sourceName as string, sourceArgs, {
    stdio: ["ignore", "pipe", "pipe", lockFd ?? "ignore"],
  });
  const sink = spawn(sinkName as string, sinkArgs, {
    stdio: ["pipe", "ignore", "pipe", lockFd ?? "ignore"],
  });
  const stop = () => {
    source.kill("SIGKILL");
    sink.kill("SIGKILL");
  };
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const from = source.stdout as Readable;
    from.pipe(sink.stdin as Writable);
    // tar stops reading at the end mark; what pads the archive after it has to go somewhere
    sink.once("exit", () => from.unpipe().resume());
    // both are gone when this settles, whichever failed
    const stopping = (error: unknown) => {
      stop();
      throw error;
    };
    const [first, second] = await Promise.allSettled([
      endOf(source, what).catch(stopping),
      endOf(sink, what).catch(stopping),
    ]);
    signal?.throwIfAborted();
    for (const result of [second, first]) {
      if (result.status === "rejected") throw result.reason;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

function endOf(child: ReturnType<typeof spawn>, what: string): Promise<void> {
  let said = "";
  child.stdin?.on("error", () => {}); // told by the exit status
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    said = (said + chunk).slice(-2000);
  });
  const name = basename(child.spawnfile);
  return new Promise((resolve, reject) => {
    child.once("error", (cause) =>
      reject(new LabError("NO_APT", `${name} can't be started`, { cause })),
    );
    child.once("close", (code) => {
      if (code === 0) resolve();
      else {
        reject(new LabError("FETCH_FAILED", `${what}: ${name} ended with ${code} ${said.trim()}`));
      }
    });
  });
}
