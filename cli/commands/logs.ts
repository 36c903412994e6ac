/** `logs GUEST [-f]`: what the kernel's console has said. */

import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { findGuest } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const follow = words.options.follow === true && context.format === "text";
  const { lab, guest } = await findGuest(context, words);
  await using _lab = lab;
  const console = lab.console(guest, { follow, input: false });
  console.stdin.on("error", () => {});
  console.exit.catch(() => {});
  const lines: Buffer[] = [];
  for await (const chunk of console.stdout as AsyncIterable<Buffer>) {
    if (context.format === "json") lines.push(chunk);
    else await context.stdout.write(chunk);
  }
  if (context.format === "json") {
    await printResult(context, { guest, console: Buffer.concat(lines).toString("utf8") }, () => "");
  }
  await console.exit;
  return 0;
}
