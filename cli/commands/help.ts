/** `help [COMMAND]`. */

import { LabError } from "../../base/errors.ts";
import type { Words } from "../command.ts";
import type { Context } from "../context.ts";
import { commandHelp, groupHelp, overview } from "../help.ts";
import { parseWords } from "../parse.ts";
import { findCommand, visibleCommands } from "../table.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const { stdout } = context;
  const name = words.args.join(" ");
  if (name === "") {
    await stdout.write(overview(stdout.style));
    return 0;
  }
  const command = findCommand(name);
  if (command !== undefined) {
    await stdout.write(commandHelp(command, stdout));
    return 0;
  }
  if (visibleCommands().some((known) => known.name.startsWith(`${name} `))) {
    await stdout.write(groupHelp(name, stdout.style));
    return 0;
  }
  // The parser's own error for an unknown command, with its guess.
  parseWords([...words.args, "--help"]);
  throw new LabError("USAGE", `there is no command \`${name}\``);
}
