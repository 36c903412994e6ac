/** `status [LAB] [--watch]`: guests and links of a running lab. */

import { setTimeout as sleep } from "node:timers/promises";
import type { LabStatus } from "../../lab/api.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { statusText } from "../render/status.ts";
import { cutTo } from "../render/style.ts";
import { findLab } from "../targets.ts";
import { whenLeavingTerminal } from "../terminal.ts";

const WATCH_EVERY_MS = 1000;

export async function run(context: Context, words: Words): Promise<number> {
  await using lab = await findLab(context, words.args[0]);
  const draw = (status: LabStatus, before?: { status: LabStatus; secondsAgo: number }) =>
    statusText(status, context.stdout.style, context.now(), before);
  if (words.options.watch !== true || context.format === "json") {
    const status = await lab.status();
    await printResult(context, status, () => draw(status));
    return 0;
  }
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
    await sleep(WATCH_EVERY_MS);
  }
}
