/** One call of the command line, with everything it touches as an argument. */

import { LabError } from "../base/errors.ts";
import type { Context, ProgressView } from "./context.ts";
import type { Engine } from "./engine.ts";
import { loadCommand } from "./loaders.ts";
import type { Output } from "./output.ts";
import { type Call, parseWords } from "./parse.ts";

export interface Surroundings {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly signal: AbortSignal;
  readonly startedAt: number;
  readonly now: () => number;
  readonly cleansUpWhenInterrupted: () => void;
  readonly lendTerminal: () => Disposable;
  /** Tests bring their own; else the house. */
  readonly engine?: Engine;
}

/** Answers the exit status; never throws. */
export async function runWords(argv: readonly string[], around: Surroundings): Promise<number> {
  // For errors in the words themselves: they are reported in the format that was asked for.
  let format: "text" | "json" = asksForJson(argv) ? "json" : "text";
  try {
    if (argv.length === 0 || (argv.length === 1 && /^(-h|--help)$/.test(argv[0] as string))) {
      const { overview } = await import("./help.ts");
      await around.stdout.write(overview(around.stdout.style));
      return argv.length === 0 ? 2 : 0;
    }
    const call = parseWords(argv);
    if (call.words.options.help === true) {
      const { commandHelp } = await import("./help.ts");
      await around.stdout.write(commandHelp(call.command, around.stdout));
      return 0;
    }
    format = call.words.options.format === "json" ? "json" : "text";
    const { run } = await loadCommand(call.command.name);
    const context = await makeContext(call, format, around);
    const status = await run(context, call.words);
    return status;
  } catch (thrown) {
    return await report(thrown, format, around);
  }
}

function asksForJson(argv: readonly string[]): boolean {
  const words = argv.slice(0, argv.includes("--") ? argv.indexOf("--") : argv.length);
  return words.some((word, i) => {
    return word === "--format=json" || (word === "--format" && words[i + 1] === "json");
  });
}

async function makeContext(
  { words }: Call,
  format: "text" | "json",
  around: Surroundings,
): Promise<Context> {
  const quiet = words.options.quiet === true;
  const verbose = words.options.verbose === true;
  return {
    engine: around.engine ?? (await import("./house.ts")).house,
    stdin: around.stdin,
    stdout: around.stdout,
    stderr: around.stderr,
    env: around.env,
    format,
    quiet,
    verbose,
    signal: around.signal,
    startedAt: around.startedAt,
    now: around.now,
    cleansUpWhenInterrupted: around.cleansUpWhenInterrupted,
    lendTerminal: around.lendTerminal,
    showProgress: async (): Promise<ProgressView> => {
      if (quiet) {
        return { onEvent: () => {}, onProgress: () => {}, [Symbol.dispose]: () => {} };
      }
      if (around.stderr.isTerminal && !verbose && around.env.TERM !== "dumb") {
        const { LiveProgress } = await import("./render/live-progress.ts");
        return new LiveProgress(around.stderr, around.now);
      }
      const { PlainProgress } = await import("./render/plain-progress.ts");
      return new PlainProgress(around.stderr, verbose);
    },
  };
}

async function report(
  thrown: unknown,
  format: "text" | "json",
  around: Surroundings,
): Promise<number> {
  const { errorJson, errorText, statusOf } = await import("./render/errors.ts");
  const aborted = around.signal.aborted && !(thrown instanceof LabError);
  const error = aborted ? new LabError("INTERRUPTED", "interrupted", { cause: thrown }) : thrown;
  if (format === "json") await around.stdout.write(errorJson(error));
  else {
    const debug = Boolean(around.env.UML_LAB_DEBUG);
    const { style } = around.stderr;
    await around.stderr.write(errorText(error, { style, cwd: around.cwd, debug }));
  }
  return statusOf(error);
}
