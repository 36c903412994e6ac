/** `kernel fetch [KERNEL]`: into the cache, so that labs start without a network. */

import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";

export async function run(context: Context, words: Words): Promise<number> {
  context.cleansUpWhenInterrupted();
  using progress = await context.showProgress();
  const { signal } = context;
  const choice = words.args[0] ?? "auto";
  const kernel = await context.engine.ensureKernel(choice, {
    signal,
    onProgress: progress.onProgress,
  });
  progress[Symbol.dispose]();
  await printResult(context, { kernel }, () => `${kernel.id}  ${kernel.executable}\n`);
  return 0;
}
