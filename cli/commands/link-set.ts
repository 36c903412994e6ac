/** `link set LINK KEY=VALUE…`: another cable, while the lab runs. */

import { LabError } from "../../base/errors.ts";
import { endName, type Impairment, type LinkEnd } from "../../net/control/messages.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { applyWords } from "../impairment-words.ts";
import { impairmentText } from "../render/impairment.ts";
import { findLab } from "../targets.ts";

/** A link as a status may tell of it beyond its counters. */
interface KnownLink {
  readonly link: string;
  readonly ends?: readonly [LinkEnd, LinkEnd];
  readonly impairments?: readonly [Impairment, Impairment];
}

export async function run(context: Context, words: Words): Promise<number> {
  const [name, ...changes] = words.args as [string, ...string[]];
  // Wrong words are told before a lab is looked for.
  applyWords({}, changes);
  await using lab = await findLab(context, optionValue(words, "lab"));
  const status = await lab.status();
  const link: KnownLink | undefined = status.counters.links.find((one) => one.link === name);
  const from = optionValue(words, "from");
  const [there, back] = link?.impairments ?? [{}, {}];
  const which = from === undefined ? undefined : endIndex(link, name, from);
  const impairments = [
    which === 1 ? there : applyWords(there, changes),
    which === 0 ? back : applyWords(back, changes),
  ] as const;
  await lab.setLink(name, { impairments });
  await printResult(context, { lab: lab.name, link: name, impairments }, () => {
    const [a, b] = impairments.map((one) => impairmentText(one) || "perfect");
    return a === b ? `${name}: ${a}\n` : `${name}: ${a} one way, ${b} the other\n`;
  });
  return 0;
}

function endIndex(link: KnownLink | undefined, name: string, from: string): 0 | 1 {
  const ends = link?.ends?.map(endName) ?? [];
  const matches = ends.flatMap((end, i) => (end === from || end.split(":")[0] === from ? [i] : []));
  if (matches.length === 1) return matches[0] as 0 | 1;
  const problem = matches.length === 0 ? "does not end at" : "has both ends at";
  throw new LabError("USAGE", `${name} ${problem} \`${from}\``, {
    hint: ends.length === 2 ? `its ends: ${ends.join(", ")}` : "leave --from out",
  });
}
