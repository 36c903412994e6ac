/** `link show [LINK] [--watch]`: cables with what passed and what did not, each way. */

import { LabError } from "../../base/errors.ts";
import { closest } from "../../base/similar.ts";
import type { LabStatus } from "../../lab/api.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { type Earlier, linkTable } from "../render/status.ts";
import { findLab } from "../targets.ts";
import { watchStatus } from "../watch.ts";

export async function run(context: Context, words: Words): Promise<number> {
  await using lab = await findLab(context, optionValue(words, "lab"));
  const name = words.args[0];
  const only = (status: LabStatus): LabStatus => {
    const links = status.counters.links.filter((link) => name === undefined || link.link === name);
    if (name !== undefined && links.length === 0) throw noSuchLink(status, name);
    return { ...status, counters: { ...status.counters, links } };
  };
  const draw = (status: LabStatus, earlier?: Earlier) =>
    linkTable(only(status), context.stdout.style, earlier);
  if (words.options.watch === true && context.format === "text") {
    return await watchStatus(context, lab, draw);
  }
  const status = only(await lab.status());
  const { links } = status.counters;
  await printResult(context, { lab: lab.name, links }, () => draw(status));
  return 0;
}

function noSuchLink({ lab, counters }: LabStatus, name: string): LabError {
  const known = counters.links.map((link) => link.link);
  const guess = closest(name, known);
  return new LabError("NO_SUCH_LINK", `${lab} has no link \`${name}\``, {
    hint: guess === undefined ? `its links: ${known.join(", ")}` : `did you mean \`${guess}\`?`,
  });
}
