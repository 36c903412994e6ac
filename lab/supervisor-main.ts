/**
 * The supervisor's process. Descriptor 3 is the connection to whoever started it; its arguments are
 * the folder made for the lab and nothing else. Its output is the lab's log.
 */

import { Socket } from "node:net";
import { machinery } from "./supervisor/machinery.ts";
import { Supervisor } from "./supervisor/supervisor.ts";

const log = (message: string): void => {
  process.stdout.write(`${new Date().toISOString()} ${message}\n`);
};

const supervisor = new Supervisor({
  prepared: process.argv[2] as string,
  machinery,
  exit: (status) => process.exit(status),
  log,
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  process.on(signal, () => void supervisor.terminate());
}
process.on("unhandledRejection", (error) => {
  log(`unhandled: ${error instanceof Error ? error.stack : String(error)}`);
});

supervisor.serveParent(new Socket({ fd: 3, readable: true, writable: true }));
