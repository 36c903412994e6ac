/**
 * `complete-words -- WORD…` (hidden): what the last word could become. A line a candidate, its
 * description after a tab; the single line `:files` or `:topologies` leaves it to the shell.
 */

import type { Words } from "../command.ts";
import { candidates } from "../completion.ts";
import type { Context } from "../context.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const found = await candidates(words.args, context.engine);
  await context.stdout.write(found.map((line) => `${line}\n`).join(""));
  return 0;
}
