/** `status [LAB] [--watch]`: guests and links of a running lab. */

import type { LabStatus } from "../../lab/api.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { type Earlier, statusText } from "../render/status.ts";
import { findLab } from "../targets.ts";
import { watchStatus } from "../watch.ts";

export async function run(context: Context, words: Words): Promise<number> {
  await using lab = await findLab(context, words.args[0]);
  const draw = (status: LabStatus, earlier?: Earlier) =>
    statusText(status, context.stdout.style, context.now(), earlier);
  if (words.options.watch === true && context.format === "text") {
    return await watchStatus(context, lab, draw);
  }
  const status = await lab.status();
  await printResult(context, status, () => draw(status));
  return 0;
}
