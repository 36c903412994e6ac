/** `kernel build`: the lean kernel, from source. */

import { LabError } from "../../base/errors.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";

export async function run(context: Context, words: Words): Promise<number> {
  context.cleansUpWhenInterrupted();
  const jobs = jobsOf(optionValue(words, "jobs"));
  using progress = await context.showProgress();
  const kernel = await context.engine.buildKernel({
    source: optionValue(words, "source"),
    debug: words.options.debug === true,
    jobs,
    signal: context.signal,
    onProgress: progress.onProgress,
  });
  progress[Symbol.dispose]();
  await printResult(context, { kernel }, () => `${kernel.id}  ${kernel.executable}\n`);
  return 0;
}

function jobsOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^[1-9]\d{0,2}$/.test(value)) {
    throw new LabError("USAGE", `--jobs takes a number from 1 to 999, not ${value}`);
  }
  return Number(value);
}
