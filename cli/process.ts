/**
 * One run of the command line in this process: signals, broken pipes, the exit status. All that
 * touches `process` is here; `run.ts` does the same work in tests without it.
 */

import { constants } from "node:os";
import { makeOutput } from "./output.ts";
import { runWords } from "./run.ts";
import { restoreTerminal } from "./terminal.ts";

const INTERRUPTED = 130;

export async function runProcess(argv: readonly string[], startedAt: number): Promise<never> {
  const stdout = makeOutput(process.stdout, process.env);
  const stderr = makeOutput(process.stderr, process.env);
  const leave = (status: number): never => {
    restoreTerminal();
    process.exit(status);
  };
  process.on("exit", restoreTerminal);

  const abort = new AbortController();
  let cleansUp = false;
  let interruptions = 0;
  let lent = 0;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
      // The reader went away (`uml-lab logs … | head`): nobody is left to tell.
      if (cleansUp) abort.abort();
      else leave(128 + constants.signals.SIGPIPE);
    });
  }
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (name === "SIGINT" && lent > 0) return;
      interruptions++;
      if (!cleansUp || interruptions > 2) leave(INTERRUPTED);
      if (interruptions === 1) abort.abort();
      else {
        process.stderr.write(
          "\nstill stopping what was started; once more leaves the rest to `uml-lab clean`\n",
        );
      }
    });
  }

  const status = await runWords(argv, {
    stdin: process.stdin,
    stdout,
    stderr,
    env: process.env,
    cwd: process.cwd(),
    signal: abort.signal,
    startedAt,
    now: Date.now,
    cleansUpWhenInterrupted: () => {
      cleansUp = true;
    },
    lendTerminal: () => {
      lent++;
      return { [Symbol.dispose]: () => void lent-- };
    },
  });
  // Both were awaited; an open control socket or a paused stdin must not keep the process.
  return leave(status);
}
