/** `test FILE`: up, judge, down. */

import type { Words } from "../command.ts";
import type { Context } from "../context.ts";
import { finishReport, runToReport } from "../reporting.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const report = await runToReport(context, words, (options) => context.engine.testLab(options));
  return finishReport(context, words, report, { file: words.args[0] });
}
