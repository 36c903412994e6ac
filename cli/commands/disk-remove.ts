/** `disk remove LAB [GUEST…]`: kept disks, thrown away. */

import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const [lab = "", ...guests] = words.args;
  const removed = await context.engine.removeDisks(lab, guests);
  await printResult(
    context,
    { lab, removed },
    () => `disks of ${lab} removed: ${removed.join(", ")}\n`,
  );
  return 0;
}
