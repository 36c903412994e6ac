/** `image import FILE.tar [NAME]`: an archive of `docker save` or `docker export` as `docker:NAME`. */

import { resolve } from "node:path";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";

export async function run(context: Context, words: Words): Promise<number> {
  context.cleansUpWhenInterrupted();
  using progress = await context.showProgress();
  const { signal } = context;
  const { onProgress } = progress;
  const [file, name] = words.args as [string, string?];
  const image = await context.engine.importImage(resolve(file), name, { signal, onProgress });
  progress[Symbol.dispose]();
  await printResult(context, { image }, () => `image: ${image.reference}\n`);
  return 0;
}
