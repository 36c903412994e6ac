/** `completion bash|zsh|fish`: a script for the shell. */

import { LabError } from "../../base/errors.ts";
import { closest } from "../../base/similar.ts";
import type { Words } from "../command.ts";
import { completionScript, SHELLS } from "../completion.ts";
import type { Context } from "../context.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const shell = words.args[0] as string;
  const script = completionScript(shell);
  if (script === undefined) {
    const guess = closest(shell, SHELLS) ?? SHELLS[0];
    throw new LabError("USAGE", `there is no completion for \`${shell}\``, {
      hint: `it is one of ${SHELLS.join(", ")}: uml-lab completion ${guess}`,
    });
  }
  await context.stdout.write(script);
  return 0;
}
