/** A page for each student, and one for the teacher that leads to them. */

import type { Grade, Grades } from "../../lab/grading/grades.ts";
import { htmlPage, xmlText } from "./html.ts";
import { count } from "./style.ts";

const stamp = (at: Date): string => `${at.toISOString().slice(0, 16).replace("T", " ")} UTC`;

/** A file's name for each, that names no folder and no other's page. */
export function pageNames(grades: readonly Grade[]): string[] {
  const taken = new Set(["index.html"]);
  return grades.map(({ submission }) => {
    const base = submission.replace(/[^A-Za-z0-9._-]/g, "_").replace(/^\.+/, "") || "submission";
    for (let n = 1; ; n++) {
      const name = `${base}${n === 1 ? "" : `-${n}`}.html`;
      const key = name.toLowerCase();
      if (taken.has(key)) continue;
      taken.add(key);
      return name;
    }
  });
}

export function gradeHtml(all: Grades, grade: Grade, at: Date): string {
  const { submission, points, of, reason, notes, tasks } = grade;
  const rows = tasks.map((task) => {
    const mark = task.ok ? `<td class="good">✔</td>` : `<td class="bad">✘</td>`;
    const why = task.why.map((one) => `<p>${text(one)}</p>`).join("");
    return `<tr>${mark}<td><strong>${xmlText(task.name)}</strong>${why}</td><td>${task.points}/${task.of}</td></tr>`;
  });
  const parts = [
    ...(all.description === null ? [] : [`<p>${text(all.description)}</p>`]),
    ...(reason === null ? [] : [`<h2>It could not be graded</h2>\n<pre>${xmlText(reason)}</pre>`]),
    `<h2>Tasks</h2>
<div class="scroll"><table class="list">
<thead><tr><th></th><th>task, and what was found instead</th><th>points</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>`,
    ...(notes.length === 0
      ? []
      : [`<h2>Besides</h2>\n${notes.map((note) => `<pre>${xmlText(note)}</pre>`).join("\n")}`]),
    `<footer>uml-lab, ${stamp(at)}. Graded in ${grade.seconds} s.</footer>`,
  ];
  return htmlPage({
    title: `${all.assignment}: ${submission}`,
    good: points === of,
    mark: `${points} of ${count(of, "point")}`,
    heading: submission,
    facts: all.assignment,
    body: `${parts.join("\n")}\n`,
  });
}

export function gradesHtml(all: Grades, names: readonly string[], at: Date): string {
  const { grades, tasks, of } = all;
  const heads = tasks.map(({ name }) => `<th>${xmlText(name)}</th>`).join("");
  const rows = grades.map((grade, i) => {
    const cells = grade.tasks.map(
      ({ ok, points }) => `<td class="${ok ? "good" : "bad"}">${ok ? "✔" : "✘"} ${points}</td>`,
    );
    const page = encodeURIComponent(names[i] as string);
    return `<tr><td><a href="${page}">${xmlText(grade.submission)}</a></td><td>${grade.points}/${of}</td>${cells.join("")}<td>${xmlText((grade.reason ?? "").split("\n")[0] as string)}</td></tr>`;
  });
  const failed = grades.filter(({ state }) => state === "failed").length;
  return htmlPage({
    title: `Grades: ${all.assignment}`,
    good: failed === 0,
    mark: count(grades.length, "submission"),
    heading: all.assignment,
    facts: `${count(of, "point")}; ${failed === 0 ? "all were graded" : `${failed} could not be graded`}`,
    body: `<h2>Grades</h2>
<div class="scroll"><table class="list">
<thead><tr><th>submission</th><th>points</th>${heads}<th>remark</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>
<footer>uml-lab, ${stamp(at)}. ${all.seconds} s in all.</footer>
`,
  });
}

const text = (value: string): string => xmlText(value).replaceAll("\n", "<br>");
