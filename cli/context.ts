/** What a command gets to work with. Made once in main.ts; tests make their own. */

import type { OnProgress } from "../kernel/progress.ts";
import type { OnLabEvent } from "../lab/api.ts";
import type { Engine } from "./engine.ts";
import type { Output } from "./output.ts";

/** Shows what goes on while a command works; disposing takes what moves off the screen. */
export interface ProgressView extends Disposable {
  readonly onEvent: OnLabEvent;
  readonly onProgress: OnProgress;
}

export interface Context {
  readonly engine: Engine;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly format: "text" | "json";
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /** Date.now() when the command started. */
  readonly startedAt: number;
  readonly now: () => number;
  /**
   * Says that the command undoes what it began when interrupted: from now on the first Ctrl-C only
   * aborts `signal`. Without it the process ends at once with status 130.
   */
  cleansUpWhenInterrupted(): void;
  /** Until it is disposed, Ctrl-C is another program's business. */
  lendTerminal(): Disposable;
  /** Live on a terminal, one line a step elsewhere, nothing with --quiet. */
  showProgress(title?: string): Promise<ProgressView>;
}

/** Prints a result: JSON of `value`, or `text()`. */
export async function printResult(
  context: Context,
  value: unknown,
  text: () => string,
): Promise<void> {
  await context.stdout.write(
    context.format === "json" ? `${JSON.stringify(value, null, 2)}\n` : text(),
  );
}

/** A line for the person at the terminal, on standard error. */
export async function say(context: Context, text: string): Promise<void> {
  if (!context.quiet) await context.stderr.write(`${text}\n`);
}
