/** `clean [--cache]`: what crashed labs left, and the caches. */

import type { LabEvent } from "../../lab/api.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const removed: string[] = [];
  const onEvent = (event: LabEvent) => {
    if (event.type === "notice") removed.push(event.message);
    else if (event.type === "step") {
      removed.push(event.detail === undefined ? event.step : `${event.step}: ${event.detail}`);
    }
  };
  await context.engine.cleanUp({ cache: words.options.cache === true }, onEvent);
  await printResult(context, { removed }, () =>
    removed.length === 0 ? "nothing was left\n" : removed.map((line) => `${line}\n`).join(""),
  );
  return 0;
}
