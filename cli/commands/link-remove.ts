/** `link remove LINK`: takes a cable out of a running lab for good. */

import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { findLab } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const link = words.args[0] as string;
  await using lab = await findLab(context, optionValue(words, "lab"));
  await lab.removeLink(link);
  await printResult(context, { lab: lab.name, link, removed: true }, () => `${link}: removed\n`);
  return 0;
}
