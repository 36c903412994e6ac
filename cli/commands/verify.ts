/** `verify [LAB]`: measure and judge again. */

import type { Words } from "../command.ts";
import type { Context } from "../context.ts";
import { finishReport } from "../reporting.ts";
import { findLab } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  await using lab = await findLab(context, words.args[0]);
  context.cleansUpWhenInterrupted();
  using progress = await context.showProgress();
  const report = await lab.verify({ signal: context.signal, onEvent: progress.onEvent });
  progress[Symbol.dispose]();
  const file = words.options.html === undefined ? undefined : (await lab.status()).file;
  return finishReport(context, words, report, { file });
}
