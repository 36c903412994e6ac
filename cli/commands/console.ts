/** `console GUEST`: the kernel's console, with input. */

import { attachPlain, attachTerminal } from "../attach.ts";
import type { Words } from "../command.ts";
import { type Context, say } from "../context.ts";
import { findGuest } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const { lab, guest } = await findGuest(context, words);
  await using _lab = lab;
  const console = lab.console(guest, { follow: true, input: true });
  if (!context.stdin.isTTY) return await attachPlain(context, console);
  const { dim } = context.stderr.style;
  await say(context, dim(`the console of ${guest}; press Ctrl-] three times to leave it`));
  const ending = await attachTerminal(context, console);
  await say(context, `\nleft the console of ${guest}`);
  return ending.left ? 0 : ending.code;
}
