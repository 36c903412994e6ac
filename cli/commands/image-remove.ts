/** `image remove IMAGE…`: out of the cache. */

import { LabError } from "../../base/errors.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { fromHere } from "./image-build.ts";

export async function run(context: Context, words: Words): Promise<number> {
  let removed = 0;
  for (const name of words.args) {
    const count = await context.engine.removeImage(fromHere(name));
    if (count === 0) throw noSuchImage(name);
    removed += count;
  }
  await printResult(context, { removed }, () => `${removed} removed\n`);
  return 0;
}

export function noSuchImage(name: string): LabError {
  return new LabError("NO_IMAGE", `no image ${name} is at hand`, { hint: "uml-lab image list" });
}
