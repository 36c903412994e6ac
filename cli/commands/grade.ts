/** `grade ASSIGNMENT --submissions DIR`: every submission in a lab of its own, and what each scored. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";
import type { Grade } from "../../lab/grading/grades.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { countOption } from "../option-values.ts";
import { gradesCsv, gradesText } from "../render/grades.ts";
import { gradeHtml, gradesHtml, pageNames } from "../render/grades-html.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const submissions = optionValue(words, "submissions");
  if (submissions === undefined) {
    throw new LabError("USAGE", "`grade` needs `--submissions DIR`", {
      hint: "DIR holds a folder or a file for each student",
    });
  }
  const jobs = countOption(words, "jobs", 999);
  context.cleansUpWhenInterrupted();
  using progress = await context.showProgress();
  const grades = await context.engine.gradeAll({
    assignment: words.args[0] as string,
    submissions,
    jobs,
    again: words.options.again === true,
    signal: context.signal,
    onEvent: progress.onEvent,
    onGrade: (grade) =>
      progress.onEvent({ type: "step", step: "graded", detail: gradeLine(grade) }),
  });
  progress[Symbol.dispose]();
  const csv = optionValue(words, "csv");
  const json = optionValue(words, "json");
  const html = optionValue(words, "html");
  if (csv !== undefined) await save(csv, gradesCsv(grades));
  if (json !== undefined) await save(json, `${JSON.stringify(grades, null, 2)}\n`);
  if (html !== undefined) {
    const at = new Date(context.now());
    const names = pageNames(grades.grades);
    await makeFolder(html);
    await save(join(html, "index.html"), gradesHtml(grades, names, at));
    for (const [index, grade] of grades.grades.entries()) {
      await save(join(html, names[index] as string), gradeHtml(grades, grade, at));
    }
  }
  const { stdout } = context;
  await printResult(context, grades, () =>
    gradesText(grades, { columns: stdout.columns(), style: stdout.style }),
  );
  return 0;
}

const gradeLine = ({ submission, state, points, of, seconds }: Grade): string =>
  `${submission}: ${state === "failed" ? "failed" : `${points} of ${of}`} (${seconds} s)`;

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    throw new LabError("FILE_UNREADABLE", `can't make ${folder}: ${messageOf(cause)}`, { cause });
  }
}

async function save(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (cause) {
    throw new LabError("FILE_UNREADABLE", `can't write ${file}: ${messageOf(cause)}`, { cause });
  }
}
