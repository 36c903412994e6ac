/** `init [NAME]`: a new topology file, from one that is shipped or from a shape and a size. */

import { writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult, say } from "../context.ts";
import type { Starter } from "../engine.ts";
import { table } from "../render/table.ts";

const DEFAULT: Starter = { from: "two-lans" };

export async function run(context: Context, words: Words): Promise<number> {
  if (words.options.list === true) return list(context);
  const starter = await starterOf(context, words);
  const name = words.args[0] ?? nameOf(starter);
  if (!/^[a-z][a-z0-9-]{0,39}$/.test(name)) {
    throw new LabError("USAGE", `\`${name}\` can't be a lab's name`, {
      hint: "lower-case letters, digits and hyphens, a letter first, at most 40",
    });
  }
  const output = optionValue(words, "output") ?? `${name}.yaml`;
  const file = output === "-" ? undefined : output;
  const folder = file === undefined ? process.cwd() : dirname(resolve(file));
  const text = await context.engine.writeStarter(starter, name, folder);
  if (file === undefined) {
    await context.stdout.write(text);
    return 0;
  }
  await create(file, text);
  const next = [`uml-lab up ${file}`, `uml-lab graph ${file} -o ${name}.svg`];
  await printResult(context, { lab: name, file: resolve(file), next }, () => `made ${file}\n`);
  if (context.format === "text") {
    await say(
      context,
      [
        "next:",
        `  uml-lab up ${file}       boot it, and see who reaches whom`,
        `  uml-lab graph ${file}    look at it`,
        `  uml-lab check ${file}    after you have changed it`,
      ].join("\n"),
    );
  }
  return 0;
}

/** `ring-6`, `grid-4x4`, or the topology's own name. */
const nameOf = (starter: Starter): string =>
  "from" in starter ? starter.from : `${starter.shape}-${starter.size}`;

async function starterOf(context: Context, words: Words): Promise<Starter> {
  const { shapes } = await context.engine.listStarters();
  const given: Starter[] = shapes.flatMap(({ name }) => {
    const size = optionValue(words, name);
    return size === undefined ? [] : [{ shape: name, size }];
  });
  const from = optionValue(words, "from");
  if (from !== undefined) given.push({ from });
  if (given.length > 1) {
    throw new LabError("USAGE", "a new topology starts from one thing", {
      hint: `leave only one of ${given.map((one) => ("from" in one ? "--from" : `--${one.shape}`)).join(", ")}`,
    });
  }
  return given[0] ?? DEFAULT;
}

async function create(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: "wx" });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") {
      throw new LabError("USAGE", `${file} is there already`, {
        cause,
        hint: "give another NAME, or another file with -o",
      });
    }
    throw new LabError("FILE_UNREADABLE", `can't write ${file}: ${messageOf(cause)}`, { cause });
  }
}

async function list(context: Context): Promise<number> {
  const starters = await context.engine.listStarters();
  await printResult(context, starters, () => {
    const { style } = context.stdout;
    const columns = (...headings: string[]) => headings.map((heading) => ({ heading }));
    return [
      table(
        columns("--from", "what it shows", "image", "kernel"),
        starters.topologies.map(({ name, teaches, images, kernel }) => [
          name,
          teaches,
          images.join(", "),
          kernel === "auto" ? "any" : kernel,
        ]),
        style,
      ),
      table(
        columns("shape", "what it makes"),
        starters.shapes.map(({ name, size, summary }) => [`--${name} ${size}`, summary]),
        style,
      ),
    ].join("\n");
  });
  return 0;
}
