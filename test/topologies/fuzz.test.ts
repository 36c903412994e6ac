import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { LabErrors } from "../../base/errors.ts";
import { packageRoot } from "../../base/package-root.ts";
import { Random } from "../../base/random.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import { parseTopology } from "../../lab/topology/read.ts";

const folder = join(packageRoot, "topologies");
const page = readFileSync(join(packageRoot, "docs", "topology-language.md"), "utf8");
const texts = [
  ...readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => readFileSync(join(folder, name), "utf8").replace("HOSTS:-50", "HOSTS:-5")),
  ...[...page.matchAll(/```yaml\n(name:.*?)```/gs)].map(([, text]) =>
    (text as string).replace(":-50", ":-5"),
  ),
];

/** Things that a person may type in a wrong place. */
const SCRAPS = [
  "",
  " ",
  "  ",
  "\n",
  "\t",
  ":",
  ": ",
  "- ",
  "[",
  "]",
  "{",
  "}",
  ",",
  "#",
  "&a",
  "*a",
  "!x",
  "|",
  ">",
  "'",
  '"',
  "~",
  "null",
  "true",
  "7",
  "-1",
  "1e9",
  "10ms",
  "eth0",
  "h1..9",
  "..",
  "=",
  "/24",
  "::",
  "*",
  "->",
  "<<: *a",
  "${X}",
  "${X:-y}",
  "$",
  "lan",
  "alice",
  "__proto__",
  "constructor",
  "\u00e9",
  "\ud83d\ude00",
  "\ue000",
  "\0",
  "\r",
];

describe("any text at all", () => {
  // A few hundred here; UML_LAB_FUZZ=100000 for more, with UML_LAB_FUZZ_SEED to repeat.
  const cases = Number(process.env.UML_LAB_FUZZ ?? 1500);
  const seed = Number(process.env.UML_LAB_FUZZ_SEED ?? 1);

  it(`is planned or refused with places, ${cases} times`, function () {
    this.timeout(Math.max(20_000, cases * 30));
    const random = new Random(seed, "test:topologies");
    const pick = <T>(list: readonly T[]): T => list[random.below(list.length)] as T;
    let right = 0;
    for (let i = 0; i < cases; i++) {
      let text = pick(texts);
      for (let changes = random.below(4); changes >= 0; changes--) {
        const at = random.below(text.length);
        const to = random.below(3) === 0 ? at + random.below(12) : at;
        const scrap =
          random.below(4) === 0 ? pick(texts).slice(at, at + random.below(40)) : pick(SCRAPS);
        text = text.slice(0, at) + scrap + text.slice(to);
      }
      try {
        makePlan(parseTopology("/lab/x.yaml", Buffer.from(text), {}));
        right++;
      } catch (error) {
        if (!(error instanceof LabErrors)) {
          throw new Error(`case ${i} of seed ${seed}:\n${text}`, { cause: error });
        }
        const lines = text.split("\n");
        for (const { at, excerpt, hint } of error.errors) {
          const problem = `case ${i} of seed ${seed}: ${error.message}\n${text}`;
          expect(hint, problem).to.be.a("string");
          expect(excerpt?.split("\n"), problem).to.have.length(2);
          expect(at?.line, problem).to.be.within(1, lines.length);
          expect(at?.column, problem).to.be.within(
            1,
            (lines[(at?.line ?? 1) - 1]?.length ?? 0) + 1,
          );
        }
      }
    }
    // Both ways out are taken, or the test shows nothing.
    expect(right).to.be.within(cases / 50, cases - cases / 50);
  });
});
