/** `down [LAB] [--all]`. */

import { LabError, messageOf } from "../../base/errors.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { findLab } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const all = words.options.all === true;
  if (all && words.args.length > 0) {
    throw new LabError("USAGE", "--all and a lab's name do not go together", {
      hint: "leave one of them out",
    });
  }
  const names = all
    ? (await context.engine.listLabs())
        .filter((lab) => lab.state !== "crashed")
        .map((lab) => lab.name)
    : [words.args[0]];
  const ended: string[] = [];
  const failures: unknown[] = [];
  for (const name of names) {
    using progress = await context.showProgress();
    try {
      await using lab = await findLab(context, name);
      await lab.down(progress.onEvent);
      ended.push(lab.name);
    } catch (error) {
      failures.push(error);
    }
  }
  const [first, ...rest] = failures;
  if (first !== undefined) {
    if (rest.length === 0) throw first;
    throw new LabError("SUPERVISOR_FAILED", failures.map(messageOf).join("; "), { cause: first });
  }
  await printResult(context, { down: ended }, () =>
    ended.length === 0 ? "no lab is running\n" : ended.map((name) => `${name} is down\n`).join(""),
  );
  return 0;
}
