import { expect } from "chai";
import { gradesCsv, gradesText } from "../../cli/render/grades.ts";
import { gradeHtml, gradesHtml, pageNames } from "../../cli/render/grades-html.ts";
import { makeStyle, widthOf } from "../../cli/render/style.ts";
import type { Grade, Grades } from "../../lab/grading/grades.ts";
import { cli, fakeEngine, NOW } from "./fakes.ts";

const grade = (values: Partial<Grade>): Grade => ({
  submission: "anna",
  state: "graded",
  points: 3,
  of: 3,
  reason: null,
  notes: [],
  tasks: [
    { name: "they reach, each other", ok: true, points: 2, of: 2, why: [] },
    { name: "ports", ok: true, points: 1, of: 1, why: [] },
  ],
  seconds: 2.5,
  ...values,
});

const all: Grades = {
  assignment: "Routes",
  description: null,
  of: 3,
  tasks: [
    { name: "they reach, each other", points: 2 },
    { name: "ports", points: 1 },
  ],
  grades: [
    grade({}),
    grade({
      submission: '=HYPERLINK("x")',
      points: 1,
      tasks: [
        {
          name: "they reach, each other",
          ok: false,
          points: 0,
          of: 2,
          why: ["a -> b: <no> route"],
        },
        { name: "ports", ok: true, points: 1, of: 1, why: [] },
      ],
    }),
    grade({
      submission: "../carl",
      state: "failed",
      points: 0,
      reason: "r1.sh is missing\nline 2",
    }),
  ],
  resumed: 0,
  seconds: 12.3,
};

describe("grades", () => {
  const style = makeStyle({ color: false, ascii: false });

  it("are a table with points, tasks and the first reason", () => {
    const text = gradesText(all, { columns: 80, style });
    expect(text).to.include("anna");
    expect(text).to.match(/^=HYPERLINK\("x"\) +1\/3 +✘ ✔ +a -> b: <no> route$/m);
    expect(text).to.include(
      "3 submissions, 2 tasks, 1 could not be graded, mean 1.33 of 3, 12.3 s",
    );
    for (const line of text.split("\n")) expect(widthOf(line)).to.be.at.most(80);
  });

  it("are CSV that no spreadsheet takes for a formula", () => {
    expect(gradesCsv(all).split("\r\n")).to.deep.equal([
      'submission,points,of,state,"they reach, each other",ports,remark',
      "anna,3,3,graded,2,1,",
      `"'=HYPERLINK(""x"")",1,3,graded,0,1,a -> b: <no> route`,
      "../carl,0,3,failed,2,1,r1.sh is missing",
      "",
    ]);
  });

  it("have pages of their own, with every text escaped", () => {
    const names = pageNames([...all.grades, grade({ submission: "Anna" })]);
    expect(names).to.deep.equal(["anna.html", "_HYPERLINK__x__.html", "_carl.html", "Anna-2.html"]);
    const page = gradeHtml(all, all.grades[1] as Grade, new Date(NOW));
    expect(page).to.include("a -&gt; b: &lt;no&gt; route").and.not.include("<no>");
    expect(gradesHtml(all, names, new Date(NOW))).to.include('<a href="anna.html">anna</a>');
  });

  it("are graded by the command, whose status says only whether it was done", async () => {
    const asked: unknown[] = [];
    const engine = fakeEngine({
      gradeAll: async ({ assignment, submissions, jobs, again }) => {
        asked.push({ assignment, submissions, jobs, again });
        return all;
      },
    });
    const { status, stdout } = await cli(
      ["grade", "a.yaml", "--submissions", "in", "-j", "3", "--format", "json"],
      engine,
    );
    expect(status).to.equal(0);
    expect(JSON.parse(stdout)).to.deep.equal(all);
    expect(asked).to.deep.equal([
      { assignment: "a.yaml", submissions: "in", jobs: 3, again: false },
    ]);
    expect((await cli(["grade", "a.yaml"], engine)).status).to.equal(2);
    expect(
      (await cli(["grade", "a.yaml", "--submissions", "in", "-j", "x"], engine)).status,
    ).to.equal(2);
  });
});
