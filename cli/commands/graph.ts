/** `graph [FILE|LAB]`: a drawing of a topology, from its file or from a running lab's. */

import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { extname } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";
import type { LabStatus } from "../../lab/api.ts";
import type { LabPlan } from "../../lab/plan/plan.ts";
import { optionValue, type Words } from "../command.ts";
import type { Context } from "../context.ts";
import type { GraphFormat } from "../engine.ts";
import { findLab, looksLikeFile, topologyFiles } from "../targets.ts";

const BY_ENDING: Readonly<Record<string, GraphFormat>> = {
  ".svg": "svg",
  ".mmd": "mermaid",
  ".mermaid": "mermaid",
  ".dot": "dot",
  ".gv": "dot",
  ".txt": "text",
};

export async function run(context: Context, words: Words): Promise<number> {
  const output = optionValue(words, "output");
  const ending = output === undefined ? undefined : BY_ENDING[extname(output)];
  const format = (optionValue(words, "format") as GraphFormat | undefined) ?? ending ?? "text";
  const { plan, live } = await subjectOf(context, words.args[0]);
  const drawing = await context.engine.drawGraph(plan, format, live);
  const text = drawing.endsWith("\n") ? drawing : `${drawing}\n`;
  if (output === undefined) await context.stdout.write(text);
  else {
    try {
      await writeFile(output, text);
    } catch (cause) {
      throw new LabError("FILE_UNREADABLE", `can't write ${output}: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
  return 0;
}

interface Subject {
  readonly plan: LabPlan;
  /** How a running lab is now. */
  readonly live?: LabStatus;
}

async function subjectOf(context: Context, word: string | undefined): Promise<Subject> {
  const read = async (file: string) => ({
    plan: await context.engine.planFile(file, context.env, { toRun: false }),
  });
  if (word !== undefined && (looksLikeFile(word) || existsSync(word))) return read(word);
  const here = topologyFiles(".");
  if (word === undefined && here.length === 1) return read(here[0] as string);
  await using lab = await findLab(context, word);
  return { plan: await lab.plan(), live: await lab.status() };
}
