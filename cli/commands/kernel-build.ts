/** `kernel build`: the lean kernel, from source. */

import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { countOption } from "../option-values.ts";

export async function run(context: Context, words: Words): Promise<number> {
  context.cleansUpWhenInterrupted();
  const jobs = countOption(words, "jobs", 999);
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
