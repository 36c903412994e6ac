/** `--watch`: a lab's status drawn again every second; live on a terminal, one after another elsewhere. */

import { setTimeout as sleep } from "node:timers/promises";
import type { LabStatus, RunningLab } from "../lab/api.ts";
import type { Context } from "./context.ts";
import type { Earlier } from "./render/status.ts";
import { cutTo } from "./render/style.ts";
import { whenLeavingTerminal } from "./terminal.ts";

const EVERY_MS = 1000;

/** Goes on until the process is interrupted. */
export async function watchStatus(
  context: Context,
  lab: RunningLab,
  draw: (status: LabStatus, earlier?: Earlier) => string,
): Promise<never> {
  const { stdout } = context;
  if (stdout.isTerminal) {
    // The other screen, so that what was on the terminal is there again afterwards.
    await stdout.write("\x1b[?1049h\x1b[?25l");
    whenLeavingTerminal(() => stdout.stream.write("\x1b[?25h\x1b[?1049l"));
  }
  let before: { status: LabStatus; at: number } | undefined;
  for (;;) {
    const status = await lab.status();
    const at = context.now();
    const secondsAgo = before === undefined ? 0 : (at - before.at) / 1000;
    const text = draw(status, before && secondsAgo > 0 ? { ...before, secondsAgo } : undefined);
    before = { status, at };
    if (stdout.isTerminal) {
      const lines = text
        .trimEnd()
        .split("\n")
        .slice(0, stdout.rows() - 1);
      const drawn = lines.map((line) => `${cutTo(line, stdout.columns())}\x1b[K\n`).join("");
      await stdout.write(`\x1b[H${drawn}\x1b[J`);
    } else await stdout.write(`${text}\n`);
    await sleep(EVERY_MS);
  }
}
