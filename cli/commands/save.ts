/** `save [LAB] [FILE]`: a lab's disks in one file, whether it runs or is down. */

import { resolve } from "node:path";
import { LabError } from "../../base/errors.ts";
import { count, formatBytes } from "../../base/units.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { findLab } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const [lab, file] = wordsOf(words.args);
  const save = async () => {
    try {
      await using running = await findLab(context, lab);
      return await running.save(resolve(file ?? `${running.name}.save.tar.gz`));
    } catch (error) {
      // It may be down, and its disks kept.
      const isDown = error instanceof LabError && error.code === "NO_SUCH_LAB";
      if (!isDown || lab === undefined) throw error;
      const to = resolve(file ?? `${lab}.save.tar.gz`);
      return await context.engine.saveKept(lab, to, context.signal);
    }
  };
  const saved = await save();
  await printResult(context, saved, () => {
    const what = `${count(saved.disks.length, "disk")} of ${saved.lab} (${saved.disks.join(", ")})`;
    return `${what} saved to ${saved.file}, ${formatBytes(saved.bytes)}\n`;
  });
  return 0;
}

/** A single word that ends like an archive is the file. */
function wordsOf([first, second]: readonly string[]): [string | undefined, string | undefined] {
  return second === undefined && first !== undefined && /\.t(ar\.)?gz$/.test(first)
    ? [undefined, first]
    : [first, second];
}
