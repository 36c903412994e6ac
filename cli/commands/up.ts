/** `up FILE`: boot, wire, measure, judge; the lab goes on running. */

import type { Words } from "../command.ts";
import type { Context } from "../context.ts";
import { say } from "../context.ts";
import { finishReport, runToReport } from "../reporting.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const report = await runToReport(context, words, async (options) => {
    const { lab, report } = await context.engine.upLab(options);
    await lab[Symbol.asyncDispose]();
    return report;
  });
  const status = await finishReport(context, words, report, { file: words.args[0] });
  if (context.format === "text" && context.stderr.isTerminal) {
    const guest = report.guests[0]?.name ?? "GUEST";
    const { dim } = context.stderr.style;
    const next = ["status", `shell ${guest}`, `down`].map((words) => `uml-lab ${words}`);
    await say(context, dim(`\n${report.lab} goes on running: ${next.join(", ")}`));
  }
  return status;
}
