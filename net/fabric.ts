/**
 * The supervisor's side of the fabric: starts its process and speaks to it. The process ends when
 * this one does, because its control socket ends.
 */

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { fileURLToPath } from "node:url";
import { LabError } from "../base/errors.ts";
import { type ProcessRecord, recordProcess, signalProcess } from "../base/processes.ts";
import type { AnswerTo, FabricEvent, FabricReply, FabricRequest } from "./control/messages.ts";

const MAIN = fileURLToPath(new URL(`./fabric-main${import.meta.url.slice(-3)}`, import.meta.url));
/** It writes captures out before it ends. */
const GRACE_MS = 10_000;

export interface FabricOptions {
  /** Where it logs (`fabric.log`); the NICs' sockets have paths of their own. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: FabricEvent) => void;
  /** Called before the process is asked anything: write it down for `clean`. */
  readonly onProcess: (record: ProcessRecord) => void;
}

export interface FabricExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningFabric extends AsyncDisposable {
  readonly process: ProcessRecord;
  readonly exited: Promise<FabricExit>;
  /** Throws FABRIC_FAILED with what the fabric says. */
  request<Request extends FabricRequest>(request: Request): Promise<AnswerTo<Request>>;
}

export async function startFabric(options: FabricOptions): Promise<RunningFabric> {
  options.signal.throwIfAborted();
  const log = openSync(join(options.folder, "fabric.log"), "a", 0o600);
  const child = spawn(process.execPath, ["--no-warnings", MAIN], {
    stdio: ["ignore", log, log, "pipe"],
    detached: true,
  });
  closeSync(log);
  const exited = new Promise<FabricExit>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  exited.catch(() => {});
  const record = child.pid === undefined ? undefined : recordProcess(child.pid);
  if (record === undefined) {
    throw new LabError("FABRIC_FAILED", "the fabric's process did not start", {
      cause: await exited.catch((error: unknown) => error),
    });
  }
  options.onProcess(record);
  const control = child.stdio[3] as Duplex;
  const waiting = new Map<number, PromiseWithResolversOf<FabricReply>>();
  let lastId = 0;
  let gone: LabError | undefined;
  const ready = withResolvers<void>();
  ready.promise.catch(() => {});

  const fail = (error: LabError) => {
    gone ??= error;
    ready.reject(gone);
    for (const { reject } of waiting.values()) reject(gone);
    waiting.clear();
  };
  exited.then(
    ({ code, signal }) =>
      fail(new LabError("FABRIC_FAILED", `the fabric ended (${signal ?? `status ${code}`})`)),
    (cause) => fail(new LabError("FABRIC_FAILED", "the fabric could not be started", { cause })),
  );
  control.on("error", () => {}); // its exit tells
  readLines(control, (line) => {
    const message = JSON.parse(line) as FabricReply | FabricEvent;
    if ("event" in message) {
      if (message.event === "ready") ready.resolve();
      options.onEvent(message);
      return;
    }
    const waiter = waiting.get(message.id);
    waiting.delete(message.id);
    waiter?.resolve(message);
  });

  const dispose = async () => {
    gone ??= new LabError("FABRIC_FAILED", "the fabric was ended");
    control.end();
    const timer = setTimeout(() => signalProcess(record, "SIGKILL"), GRACE_MS);
    await exited.catch(() => {});
    clearTimeout(timer);
  };
  const onAbort = () => void dispose();
  options.signal.addEventListener("abort", onAbort, { once: true });
  void exited.finally(() => options.signal.removeEventListener("abort", onAbort)).catch(() => {});
  await ready.promise;

  return {
    process: record,
    exited,
    async request<Request extends FabricRequest>(request: Request): Promise<AnswerTo<Request>> {
      if (gone !== undefined) throw gone;
      const id = ++lastId;
      const waiter = withResolvers<FabricReply>();
      waiting.set(id, waiter);
      control.write(`${JSON.stringify({ id, ...request })}\n`);
      const reply = await waiter.promise;
      if (!reply.ok) throw new LabError("FABRIC_FAILED", reply.message);
      return (reply.trace ?? reply.recorded ?? reply.counters) as AnswerTo<Request>;
    },
    [Symbol.asyncDispose]: dispose,
  };
}

interface PromiseWithResolversOf<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

function withResolvers<T>(): PromiseWithResolversOf<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

function readLines(stream: Duplex, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() as string;
    for (const line of lines) onLine(line);
  });
}
