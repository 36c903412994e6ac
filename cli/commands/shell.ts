/** `shell GUEST`: an interactive shell with a real terminal; commands on a pipe work as well. */

import { attachPlain, attachTerminal, terminalOf } from "../attach.ts";
import type { Words } from "../command.ts";
import { type Context, say } from "../context.ts";
import { findGuest } from "../targets.ts";

/** bash where the image has it, as a login shell so that /etc/profile is read. */
const SHELL = "if command -v bash >/dev/null; then exec bash -l; else exec sh -l; fi";
const LEFT_STATUS = 130;

export async function run(context: Context, words: Words): Promise<number> {
  const { lab, guest } = await findGuest(context, words);
  await using _lab = lab;
  const command = ["/bin/sh", "-c", SHELL];
  if (!context.stdin.isTTY) return await attachPlain(context, lab.exec(guest, { command }));
  const ending = await attachTerminal(
    context,
    lab.exec(guest, { command, terminal: terminalOf(context) }),
  );
  if (!ending.left) return ending.code;
  await say(context, `\nleft the shell of ${guest}`);
  return LEFT_STATUS;
}
