/** `image build IMAGE…`: into the cache, so that labs start at once and without a network. */

import { resolve } from "node:path";
import type { Image } from "../../kernel/guest/spec.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";

export async function run(context: Context, words: Words): Promise<number> {
  context.cleansUpWhenInterrupted();
  using progress = await context.showProgress();
  const { signal } = context;
  const { onProgress } = progress;
  const images: Image[] = [];
  for (const reference of words.args) {
    images.push(await context.engine.ensureImage(fromHere(reference), { signal, onProgress }));
  }
  progress[Symbol.dispose]();
  await printResult(context, { images }, () =>
    images.map(({ id, file }) => `${id}  ${file}\n`).join(""),
  );
  return 0;
}

/** On the command line, paths are relative to where one is. */
export function fromHere(reference: string): string {
  const path = /^(dir|file):(.*)$/s.exec(reference);
  return path === null ? reference : `${path[1]}:${resolve(path[2] as string)}`;
}
