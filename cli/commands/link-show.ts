/** `link show [LINK]`: cables with what passed and what did not, each way. */

import { LabError } from "../../base/errors.ts";
import { closest } from "../../base/similar.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { linkTable } from "../render/status.ts";
import { findLab } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  await using lab = await findLab(context, optionValue(words, "lab"));
  const status = await lab.status();
  const name = words.args[0];
  const links = status.counters.links.filter((link) => name === undefined || link.link === name);
  if (name !== undefined && links.length === 0) {
    const known = status.counters.links.map((link) => link.link);
    const guess = closest(name, known);
    throw new LabError("NO_SUCH_LINK", `${lab.name} has no link \`${name}\``, {
      hint: guess === undefined ? `its links: ${known.join(", ")}` : `did you mean \`${guess}\`?`,
    });
  }
  await printResult(context, { lab: lab.name, links }, () =>
    linkTable({ ...status, counters: { ...status.counters, links } }, context.stdout.style),
  );
  return 0;
}
