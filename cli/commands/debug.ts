/** `debug GUEST`: gdb at the guest's kernel. */

import type { Words } from "../command.ts";
import type { Context } from "../context.ts";
import { runDebugger } from "../debugger.ts";
import { findGuest } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  context.cleansUpWhenInterrupted();
  const { lab, guest } = await findGuest(context, words);
  await using _lab = lab;
  return await runDebugger(context, lab, {
    guest,
    freeze: words.options.freeze === true,
    arguments: words.args.slice(1),
  });
}
