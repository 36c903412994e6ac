/** `plan FILE`: what would be started. */

import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { planText, planValue } from "../render/plan.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const plan = await context.engine.planFile(words.args[0] as string, context.env);
  await printResult(context, planValue(plan), () => planText(plan, context.stdout.style));
  return 0;
}
