/** `apply FILE`: brings the running lab to what its file says now, and judges it. */

import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { changeLines } from "../render/changes.ts";
import { reportText } from "../render/report.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const file = words.args[0] as string;
  context.cleansUpWhenInterrupted();
  using progress = await context.showProgress();
  const applied = await context.engine.applyLab({
    file,
    dryRun: words.options["dry-run"] === true,
    signal: context.signal,
    onEvent: progress.onEvent,
    startedAt: context.startedAt,
  });
  progress[Symbol.dispose]();
  const { lab, changes, report } = applied;
  const { stdout, verbose } = context;
  await printResult(context, applied, () => {
    const lines =
      changes.length === 0
        ? [`nothing differs: ${lab} is what ${file} says`]
        : changeLines(changes);
    const result =
      report === null
        ? ""
        : reportText(report, { columns: stdout.columns(), style: stdout.style, verbose });
    return `${lines.join("\n")}\n${result}`;
  });
  return report === null || report.verdict === "pass" ? 0 : 1;
}
