/** What `up`, `test` and `verify` share: from a topology to a report, and the report to its readers. */

import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { LabError, messageOf } from "../base/errors.ts";
import type { LabEvent, Report, UpOptions } from "../lab/api.ts";
import { optionValue, type Words } from "./command.ts";
import { type Context, type ProgressView, printResult } from "./context.ts";
import { reportText } from "./render/report.ts";

export async function runToReport(
  context: Context,
  words: Words,
  work: (options: UpOptions) => Promise<Report>,
): Promise<Report> {
  context.cleansUpWhenInterrupted();
  const record = optionValue(words, "record");
  if (record !== undefined) await makeFolder(record);
  const resume = optionValue(words, "resume");
  if (resume !== undefined && words.options.fresh === true) {
    throw new LabError("USAGE", "--fresh and --resume do not go together", {
      hint: "--resume begins with the saved disks, whatever was kept",
    });
  }
  const debugged = optionValue(words, "debug");
  const progress = new InterruptedProgress(context, await context.showProgress());
  using _progress = progress;
  return await work({
    file: words.args[0] as string,
    signal: context.signal,
    onEvent: progress.onEvent,
    ...(debugged === undefined ? {} : { debug: debugOf(context, debugged, progress) }),
    startedAt: context.startedAt,
    ...(record === undefined ? {} : { record: resolve(record) }),
    keep: words.options.keep === true,
    fresh: words.options.fresh === true,
    ...(resume === undefined ? {} : { resume: resolve(resume) }),
  });
}

/** gdb has the terminal while the lab's other guests boot. */
function debugOf(
  context: Context,
  guest: string,
  progress: InterruptedProgress,
): NonNullable<UpOptions["debug"]> {
  return {
    guest,
    prepare: async (kernel, { signal = context.signal, onProgress = () => {} }) => {
      await context.engine.ensureDebugger(kernel, { signal, onProgress });
    },
    debug: async (lab) => {
      const { runDebugger } = await import("./debugger.ts");
      progress.pause();
      await runDebugger(context, lab, { guest, freeze: false, arguments: [] });
      await progress.resume();
    },
  };
}

/** Progress that leaves the terminal to another program for a while, and then tells what it missed. */
class InterruptedProgress implements Disposable {
  readonly #context: Context;
  #view: ProgressView | undefined;
  #missed: LabEvent[] = [];

  constructor(context: Context, view: ProgressView) {
    this.#context = context;
    this.#view = view;
  }

  readonly onEvent = (event: LabEvent): void => {
    if (this.#view === undefined) this.#missed.push(event);
    else this.#view.onEvent(event);
  };

  pause(): void {
    this.#view?.[Symbol.dispose]();
    this.#view = undefined;
  }

  async resume(): Promise<void> {
    this.#view = await this.#context.showProgress();
    for (const event of this.#missed.splice(0)) this.#view.onEvent(event);
  }

  [Symbol.dispose](): void {
    this.pause();
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new LabError("FILE_UNREADABLE", `can't make ${folder}: ${messageOf(cause)}`, { cause });
  }
}

/** Prints and writes the report; answers the exit status of its verdict. */
export async function finishReport(
  context: Context,
  words: Words,
  report: Report,
  source: { readonly file: string | undefined },
): Promise<number> {
  const junit = optionValue(words, "junit");
  const html = optionValue(words, "html");
  const at = new Date(context.now());
  if (junit !== undefined) {
    const { reportJunit } = await import("./render/junit.ts");
    await save(junit, reportJunit(report, at));
  }
  if (html !== undefined) {
    const { reportHtml } = await import("./render/html.ts");
    const graph = await graphOf(context, source.file);
    await save(html, reportHtml(report, at, { graph, capture: captureLink(words, report, html) }));
  }
  const { stdout, verbose } = context;
  await printResult(context, report, () =>
    reportText(report, { columns: stdout.columns(), style: stdout.style, verbose }),
  );
  return report.verdict === "pass" ? 0 : 1;
}

/** A picture of the lab; none where its file is gone, or is another by now. */
async function graphOf(context: Context, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    const plan = await context.engine.planFile(file, context.env, { toRun: false });
    return await context.engine.drawGraph(plan, "svg");
  } catch {
    return undefined;
  }
}

/** Where the recorded frames are, as seen from the page. */
function captureLink(words: Words, report: Report, html: string): string | undefined {
  const record = optionValue(words, "record");
  if (record === undefined) return undefined;
  return relative(dirname(resolve(html)), join(resolve(record), `${report.lab}.pcapng`));
}

async function save(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (cause) {
    throw new LabError("FILE_UNREADABLE", `can't write ${file}: ${messageOf(cause)}`, { cause });
  }
}
