/** Grades for a terminal, and as CSV (RFC 4180) for a spreadsheet. */

import type { Grade, Grades } from "../../lab/grading/grades.ts";
import { count, cutTo, type Style } from "./style.ts";
import { table } from "./table.ts";

export function gradesText(
  { assignment, of, grades, tasks, resumed, seconds }: Grades,
  { columns, style }: { columns: number; style: Style },
): string {
  const rows = grades.map((grade) => {
    const marks = grade.tasks.map(({ ok }) => (ok ? style.marks.good : style.marks.bad)).join(" ");
    return [grade.submission, `${grade.points}/${of}`, marks, remark(grade)];
  });
  const widest = Math.max(10, columns - 4);
  const text = table(
    [
      { heading: "submission" },
      { heading: "points", align: "right" },
      { heading: "tasks" },
      { heading: "remark" },
    ],
    rows,
    style,
  );
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => cutTo(line, widest));
  const failed = grades.filter(({ state }) => state === "failed").length;
  const mean = grades.reduce((sum, { points }) => sum + points, 0) / Math.max(1, grades.length);
  const facts = [
    `${count(grades.length, "submission")}`,
    `${count(tasks.length, "task")}`,
    ...(failed > 0 ? [`${failed} could not be graded`] : []),
    ...(resumed > 0 ? [`${resumed} known from before`] : []),
    `mean ${Math.round(mean * 100) / 100} of ${of}`,
    `${seconds} s`,
  ];
  return `${lines.join("\n")}\n\n${style.bold(assignment)}: ${facts.join(", ")}\n`;
}

/** The first thing that is wrong, in one line. */
function remark({ reason, tasks, notes }: Grade): string {
  const first = reason ?? tasks.find(({ ok }) => !ok)?.why[0] ?? notes[0] ?? "";
  return first.split("\n")[0] as string;
}

export function gradesCsv({ tasks, grades }: Grades): string {
  const head = ["submission", "points", "of", "state", ...tasks.map(({ name }) => name), "remark"];
  const rows = grades.map((grade) => [
    grade.submission,
    String(grade.points),
    String(grade.of),
    grade.state,
    ...grade.tasks.map(({ points }) => String(points)),
    remark(grade),
  ]);
  return [head, ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** Spreadsheets take a text that begins so for a formula; a student chose it. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) && !/^-?[\d.]+$/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
