/**
 * `ssh-proxy GUEST` (hidden): the ProxyCommand of `ssh-config`. Starts an SSH server in the guest
 * for this one connection and carries its bytes over the control channel; no network lies between.
 */

import { attachPlain } from "../attach.ts";
import type { Words } from "../command.ts";
import type { Context } from "../context.ts";
import { findGuest } from "../targets.ts";

/**
 * dropbear serves its standard input (-i), makes host keys when they are asked for (-R) and lets
 * root in without a password (-B): whoever has the control channel is root in the guest already.
 */
const SERVER = "mkdir -p /etc/dropbear; exec dropbear -i -R -B -E 2>>/tmp/dropbear.log";

export async function run(context: Context, words: Words): Promise<number> {
  const { lab, guest } = await findGuest(context, words);
  await using _lab = lab;
  return await attachPlain(context, lab.exec(guest, { command: ["/bin/sh", "-c", SERVER] }));
}
