/**
 * An SSH server in a guest for one connection, over the control channel: no network lies between,
 * so it works in every lab, and for a guest without a link.
 *
 *     ssh <-> ProxyCommand <-> supervisor <-> agent <-> socket <-> dropbear
 *
 * dropbear serves its standard input (-i), makes the guest's host keys when they are first asked
 * for (-R) and lets root in without a password (-B): whoever reaches this end of the control
 * channel is root in the guest already. The image's root must have an empty password.
 */

import type { ExecRequest } from "./spec.ts";

export const SSH_SERVER: ExecRequest = {
  command: ["sh", "-c", "mkdir -p /etc/dropbear && exec dropbear -i -R -B"],
  socket: true,
};
