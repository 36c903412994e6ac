/**
 * A course's evening: 30 submissions of one assignment, of which some are wrong, broken, endless or
 * hostile, graded by one command. Each must get the score that it deserves.
 */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cleanups } from "../base/cleanups.ts";
import type { Grade, Grades } from "../lab/grading/grades.ts";
import { askUmlLab } from "./command.ts";
import type { SectionOptions } from "./sections.ts";
import { renderTable } from "./table.ts";

const NETWORK = `name: network
guests:
  alice: { gateway: 10.0.1.1 }
  bob: { gateway: 10.0.3.1 }
  r1: { forward: true }
  r2: { forward: true }
links:
  - [alice:eth0=10.0.1.10/24, r1:eth0=10.0.1.1/24]
  - [r1:eth1=10.0.2.1/24, r2:eth1=10.0.2.2/24]
  - [r2:eth0=10.0.3.1/24, bob:eth0=10.0.3.10/24]
`;

const ASSIGNMENT = `name: Static routes
topology: network.yaml
submission:
  files:
    r1.sh: { guest: r1, run: true }
    r2.sh: { guest: r2, run: true }
tasks:
  - name: r1 knows the way to bob
    points: 2
    expect: { settle: 1s, routes: { r1: ["10.0.3.0/24 via 10.0.2.2"] } }
  - name: alice and bob reach each other
    points: 3
    expect: { settle: 3s, reach: ["alice <-> bob"] }
limits: { time: 2m, script: 15s, memory: 512M, frames: 20000 }
`;

const R1 = "ip route add 10.0.3.0/24 via 10.0.2.2\n";
const R2 = "ip route add 10.0.1.0/24 via 10.0.2.1\n";

type Kind = "right" | "wrong" | "broken" | "endless" | "hostile";

interface Work {
  readonly kind: Kind;
  readonly name: string;
  /** What it deserves, of 5. */
  readonly points: number;
  readonly files: Readonly<Record<string, string | { readonly link: string }>>;
}

const work = (kind: Kind, name: string, points: number, r1: string, r2 = R2): Work => ({
  ...{ kind, name, points },
  files: { "r1.sh": r1, "r2.sh": r2 },
});

const WORKS: readonly Work[] = [
  ...Array.from({ length: 10 }, (_, index) => work("right", `right-${index + 1}`, 5, R1)),
  work("right", "windows-lines", 5, R1.replace("\n", "\r\n")),
  work("right", "loud", 5, `${R1}head -c 3000000 /dev/zero | tr '\\0' x\n`),
  work("wrong", "one-way-1", 2, R1, "true"),
  work("wrong", "one-way-2", 2, R1, "ip route add 10.0.9.0/24 via 10.0.2.1"),
  work("wrong", "other-side-only", 0, "true"),
  work("wrong", "wrong-gateway", 0, "ip route add 10.0.3.0/24 via 10.0.2.9"),
  work("wrong", "misspelt", 0, "ip rote add 10.0.3.0/24 via 10.0.2.2"),
  work("wrong", "nothing", 0, "", ""),
  work("wrong", "says-it-passes", 0, "echo PASS; echo 5 of 5 points"),
  { kind: "broken", name: "half", points: 0, files: { "r1.sh": R1 } },
  work("broken", "too-long", 0, `${R1}${"#".repeat(2_000_000)}`),
  work("broken", "no-script", 0, "\u007fELF\u0000\u0001\u0002".repeat(100)),
  {
    ...{ kind: "broken", name: "somebody-elses", points: 0 },
    files: { "r1.sh": { link: "../right-1/r1.sh" }, "r2.sh": R2 },
  },
  work("endless", "spins", 0, `${R1}while :; do :; done`),
  work("endless", "sleeps", 0, `${R1}sleep 100000`),
  work("endless", "writes", 0, `${R1}yes > /dev/null`),
  work("hostile", "fork-bomb", 0, `${R1}b() { b | b & }; b; sleep 5`),
  work("hostile", "flood", 0, `${R1}ping -f -c 60000 10.0.2.2 > /dev/null; sleep 5`),
  work("hostile", "panic", 0, `${R1}echo c > /proc/sysrq-trigger; sleep 5`),
  work("hostile", "removes-all", 0, `${R1}rm -rf /bin /sbin /usr /lib`),
];

export interface GradingResult {
  readonly submissions: number;
  readonly seconds: number;
  /** Of each kind: how many got what they deserve, and the longest time that one took. */
  readonly kinds: readonly {
    readonly kind: Kind;
    readonly of: number;
    readonly right: number;
    readonly longestSeconds: number;
  }[];
}

/** Throws where a score is not what a submission deserves. */
export async function measureGrading({ signal, log }: SectionOptions): Promise<GradingResult> {
  await using cleanups = new Cleanups();
  const folder = mkdtempSync(join(tmpdir(), "uml-bench-"));
  cleanups.defer("remove the bench's folder", () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "network.yaml"), NETWORK);
  const assignment = join(folder, "assignment.yaml");
  writeFileSync(assignment, ASSIGNMENT);
  for (const { name, files } of WORKS) {
    const own = join(folder, "handed-in", name);
    mkdirSync(own, { recursive: true });
    for (const [file, text] of Object.entries(files)) {
      if (typeof text === "string") writeFileSync(join(own, file), text);
      else symlinkSync(text.link, join(own, file));
    }
  }
  log(`${WORKS.length} submissions`);
  const start = performance.now();
  const words = ["grade", assignment, "--submissions", join(folder, "handed-in")];
  const { grades } = (await askUmlLab(words, { signal })) as Grades;
  const seconds = (performance.now() - start) / 1000;
  const wrong = WORKS.flatMap(({ name, points }) => {
    const grade = gradeOf(grades, name);
    if (grade?.points === points) return [];
    return [`${name} got ${grade?.points} instead of ${points} (${grade?.reason ?? "graded"})`];
  });
  if (wrong.length > 0) throw new Error(`wrong scores: ${wrong.join("; ")}`);
  const kinds = (["right", "wrong", "broken", "endless", "hostile"] as const).map((kind) => {
    const own = WORKS.filter((one) => one.kind === kind);
    const found = own.map((one) => gradeOf(grades, one.name) as Grade);
    return {
      kind,
      of: own.length,
      right: own.filter(({ points }, index) => found[index]?.points === points).length,
      longestSeconds: Math.max(...found.map((one) => one.seconds)),
    };
  });
  return { submissions: WORKS.length, seconds, kinds };
}

const gradeOf = (grades: readonly Grade[], name: string): Grade | undefined =>
  grades.find(({ submission }) => submission === name);

export function renderGrading({ submissions, seconds, kinds }: GradingResult): string {
  const table = renderTable(
    ["submissions", "of them", "right score", "longest"],
    kinds.map(({ kind, of, right, longestSeconds }) => [
      kind,
      String(of),
      String(right),
      `${longestSeconds.toFixed(1)} s`,
    ]),
  );
  return `${table}\n\n${submissions} submissions in ${seconds.toFixed(1)} s`;
}
