/**
 * gdb in this terminal, at a guest's kernel. While it runs, the terminal is its own: Ctrl-C stops the
 * kernel, not us. However it ends, the lab is told, and the kernel goes on.
 */

import { spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { LabError, messageOf } from "../base/errors.ts";
import type { RunningLab } from "../lab/api.ts";
import type { Context } from "./context.ts";
import { say } from "./context.ts";

/** How long gdb may take to end when the lab does. */
const LAST_WORDS_MS = 2_000;

export interface DebugRequest {
  readonly guest: string;
  readonly freeze: boolean;
  /** gdb's own. */
  readonly arguments: readonly string[];
}

/** Answers gdb's exit status. */
export async function runDebugger(
  context: Context,
  lab: RunningLab,
  { guest, freeze, arguments: given }: DebugRequest,
): Promise<number> {
  const { engine, signal } = context;
  await using session = await lab.debug(guest, { freeze });
  const { kernel, process: kernelProcess, held, folder } = session.target;
  const progress = await context.showProgress();
  const { program, knows, scriptFor } = await engine
    .ensureDebugger(kernel, { signal, onProgress: progress.onProgress })
    .finally(() => progress[Symbol.dispose]());
  const script = join(folder, "gdb");
  writeFileSync(script, scriptFor({ guest, process: kernelProcess, held }));
  if (knows === "functions") {
    await say(
      context,
      `the kernel ${kernel.id} has names of functions, and no lines or types: \`uml-lab kernel build --debug\` makes one that has`,
    );
  }
  using _ = context.lendTerminal();
  const gdb = spawn(program, ["-q", "-x", script, ...given], {
    // with --format json, standard output is a document of ours
    stdio: ["inherit", context.format === "json" ? 2 : "inherit", "inherit"],
    // asks nobody on the network for what it lacks
    env: { ...context.env, DEBUGINFOD_URLS: "" },
  });
  const ended = new Promise<number>((resolve, reject) => {
    gdb.once("error", (cause) =>
      reject(new LabError("NO_TOOL", `${program} does not run: ${messageOf(cause)}`, { cause })),
    );
    gdb.once("close", (code, by) => resolve(code ?? 128 + (by ? constants.signals[by] : 0)));
  });
  const end = () => {
    gdb.kill("SIGTERM");
    setTimeout(() => gdb.kill("SIGKILL"), LAST_WORDS_MS).unref();
  };
  signal.addEventListener("abort", end);
  void session.over.then(end);
  if (signal.aborted) end();
  try {
    const status = await ended;
    signal.throwIfAborted();
    await session[Symbol.asyncDispose]();
    const why = await session.over;
    if (why === null) return status;
    throw new LabError("GUEST_FAILED", `gdb at ${guest} was ended: ${why}`);
  } finally {
    signal.removeEventListener("abort", end);
    rmSync(script, { force: true });
  }
}
