/** `metrics [LAB]`: counters in Prometheus' text format. */

import { metricsText } from "../../lab/metrics.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { findLab } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  await using lab = await findLab(context, words.args[0]);
  const status = await lab.status();
  await printResult(context, status, () => metricsText(status));
  return 0;
}
