/**
 * `ssh-proxy GUEST` (hidden): the ProxyCommand of `ssh-config`. Starts an SSH server in the guest
 * for this one connection and carries its bytes over the control channel; no network lies between.
 */

import { SSH_SERVER } from "../../kernel/guest/ssh.ts";
import { attachPlain } from "../attach.ts";
import type { Words } from "../command.ts";
import type { Context } from "../context.ts";
import { findGuest } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const { lab, guest } = await findGuest(context, words);
  await using _lab = lab;
  return await attachPlain(context, lab.exec(guest, SSH_SERVER));
}
