/** `check FILE`: reads and checks; starts nothing. */

import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { count } from "../render/style.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const file = words.args[0] as string;
  const plan = await context.engine.planFile(file, context.env);
  const { style } = context.stdout;
  const value = {
    ok: true,
    lab: plan.name,
    file: plan.file,
    guests: plan.guests.length,
    switches: plan.switches.length,
    links: plan.links.length,
    pairs: plan.pairs.length,
    checks: plan.checks.length,
  };
  await printResult(context, value, () => {
    const parts = [
      count(value.guests, "guest"),
      count(value.switches, "switch", "switches"),
      count(value.links, "link"),
      `${count(value.pairs, "pair")} to probe`,
    ];
    if (value.checks > 0) parts.push(count(value.checks, "check"));
    return `${style.green(style.marks.good)} ${file} is right: ${style.bold(plan.name)}, ${parts.join(", ")}\n`;
  });
  return 0;
}
