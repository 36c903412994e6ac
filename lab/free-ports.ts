/** Whether the host's ports that a lab forwards are free: told before anything starts. */

import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { LabError } from "../base/errors.ts";
import type { ForwardedPort } from "../net/passt.ts";
import { hostPort } from "./plan/outlets.ts";
import type { LabPlan } from "./plan/plan.ts";

/** Throws PORT_TAKEN or NO_RIGHT for the first that can't be opened. */
export async function checkPorts({ guests }: Pick<LabPlan, "guests">): Promise<void> {
  for (const { name, outlet } of guests) {
    for (const port of outlet?.ports ?? []) {
      const code = await openOnce(port);
      if (code === undefined) continue;
      const where = `${hostPort(port)}, which is forwarded to ${name}`;
      if (code === "EACCES") {
        throw new LabError("NO_RIGHT", `no right to open ${where}`, {
          hint: "take a host port from 1024 on, the number before the colon",
        });
      }
      throw new LabError("PORT_TAKEN", `cannot open ${where}: it is in use`, {
        hint: "end what uses it (`ss -tulnp` names it), or take another host port",
      });
    }
  }
}

/** The error's code; undefined where it could be opened. */
function openOnce({ protocol, host }: ForwardedPort): Promise<string | undefined> {
  return new Promise((resolve) => {
    const failed = ({ code }: NodeJS.ErrnoException) => resolve(code ?? "EADDRINUSE");
    if (protocol === "tcp") {
      const server = createServer().once("error", failed);
      server.listen(host, "127.0.0.1", () => server.close(() => resolve(undefined)));
    } else {
      const socket = createSocket("udp4").once("error", failed);
      socket.bind(host, "127.0.0.1", () => socket.close(() => resolve(undefined)));
    }
  });
}
