import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { Grade } from "../../lab/grading/grades.ts";
import { House, outcomeOf } from "./house.ts";

const NETWORK = `guests:
  a: {}
  b: {}
links: [{ ends: [a, b], name: core }]
`;

const RIGHT = "ip addr add 10.0.0.1/24 dev eth0";

describe("grading", function () {
  this.timeout(180_000);
  let house: House;
  let root: string;
  before(() => {
    house = new House();
    root = join(house.folder, "files");
  });
  after(() => house.check());
  afterEach(() => house.expectNothingLeft());

  const put = (path: string, text: string) => {
    const full = join(root, path);
    mkdirSync(join(full, ".."), { recursive: true });
    writeFileSync(full, text);
  };

  const ofStudent = (grades: readonly Grade[], name: string): Grade =>
    grades.find(({ submission }) => submission === name) as Grade;

  it("scores scripts, says what is wrong, and lets none stop the others", async () => {
    house.topology("net", NETWORK.replace("b: {}", "b: { interfaces: { eth0: 10.0.0.2/24 } }"));
    const assignment = `name: An address
topology: net.yaml
submission:
  files:
    a.sh: { guest: a, run: true }
    motd: { guest: b, to: /etc/motd, required: false }
tasks:
  - name: a and b reach each other
    points: 3
    expect: { settle: 500ms, checks: [{ on: a, run: "ping -c1 -W1 10.0.0.2", within: 500ms }] }
  - name: a is the first
    expect: { settle: 500ms, checks: [{ on: a, run: ip -4 addr show dev eth0, output: 10.0.0.1/24, within: 0s }] }
limits: { time: 60s, script: 8s, memory: 256M, frames: 1000 }
`;
    put("assignment.yaml", assignment);
    put("in/right/a.sh", RIGHT);
    put("in/right/motd", "hello\n");
    put("in/wrong/a.sh", "ip addr add 10.0.9.1/24 dev eth0\necho so what >&2\nexit 7\n");
    put("in/endless/a.sh", "while :; do :; done");
    put("in/bomb/a.sh", "bomb() { bomb | bomb & }; bomb; sleep 3");
    put("in/loud/a.sh", `${RIGHT}; head -c 2000000 /dev/zero | tr '\\0' x`);
    put("in/flood/a.sh", `${RIGHT}; ping -f -c 3000 10.0.0.2 > /dev/null; sleep 1`);
    put("in/huge/a.sh", "#".repeat(2_000_000));
    put("in/empty/readme", "nothing");
    put("in/linked/readme", "nothing");
    symlinkSync("../right/a.sh", join(root, "in/linked/a.sh"));
    put("in/fifo/readme", "nothing");
    symlinkSync("/dev/zero", join(root, "in/fifo/a.sh"));
    const [csv, json, pages] = ["g.csv", "g.json", "pages"].map((name) => join(root, name));
    const words = ["--csv", csv, "--json", json, "--html", pages] as string[];
    const result = await house.json(
      0,
      "grade",
      join(root, "assignment.yaml"),
      "--submissions",
      join(root, "in"),
      ...words,
    );
    const of = (name: string) => ofStudent(result.grades, name);
    expect(result.of).to.equal(4);
    expect(of("right")).to.include({ state: "graded", points: 4, reason: null });
    expect(of("loud")).to.include({ state: "graded", points: 4 });
    expect(of("wrong")).to.include({ state: "graded", points: 0 });
    expect(of("wrong").notes[0]).to.equal("a.sh ended with status 7 on a and this output: so what");
    expect(of("wrong").tasks[0]?.why[0]).to.match(/it ended with status/);
    const reasons: Record<string, RegExp> = {
      endless: /^a.sh did not end within 8.0 s$/,
      flood: /^its guests sent more than 1000 frames$/,
      huge: /^a.sh has 2.0 MB; 1.0 MB are allowed$/,
      empty: /^a.sh was not handed in$/,
      linked: /^a.sh is a link that leads out of the submission$/,
      fifo: /^a.sh is a link that leads out of the submission$/,
    };
    for (const [name, reason] of Object.entries(reasons)) {
      expect(of(name), name).to.include({ state: "failed", points: 0 });
      expect(of(name).reason, name).to.match(reason);
    }
    expect(of("bomb").points).to.equal(0);
    expect(JSON.parse(readFileSync(json as string, "utf8")).grades).to.have.lengthOf(10);
    expect(readFileSync(csv as string, "utf8").split("\r\n")).to.have.lengthOf(12);
    expect(readFileSync(join(pages as string, "wrong.html"), "utf8")).to.include("so what");
    expect(readFileSync(join(pages as string, "index.html"), "utf8")).to.include(
      'href="bomb.html"',
    );
  });

  it("reads topologies of students' own within their folders only", async () => {
    house.topology("model", NETWORK);
    put(
      "own.yaml",
      `name: A lab of your own
topology: model.yaml
submission: { topology: lab.yaml }
tasks: [{ name: they reach each other, points: 2, expect: { settle: 300ms, reach: ["a <-> b"] } }]
limits: { time: 10s, memory: 192M }
`,
    );
    const guests = (a: string) =>
      `name: x\nguests: { a: { interfaces: { eth0: 10.0.0.1/24 }${a} }, b: { interfaces: { eth0: 10.0.0.2/24 } } }\nlinks: [[a:eth0, b:eth0]]\n`;
    put("own/right/lab.yaml", guests(', files: { /x: { from: "mine" } }'));
    put("own/right/mine", "mine");
    put("own/escape/lab.yaml", guests(", files: { /x: { from: ../right/mine } }"));
    put("own/absolute/lab.yaml", guests(", files: { /x: { from: /etc/passwd } }"));
    put("own/link/lab.yaml", guests(", files: { /x: { from: mine } }"));
    symlinkSync("../right/mine", join(root, "own/link/mine"));
    put("own/outside/lab.yaml", guests(", internet: true"));
    put("own/hosts/lab.yaml", guests(", image: host"));
    put("own/environment/lab.yaml", guests(`, env: { P: "\${PATH}" }`));
    put("own/broken/lab.yaml", "name: x\nguests: { a: {\n");
    put("own/greedy/lab.yaml", guests(", memory: 1G"));
    put("own/sleepy/lab.yaml", guests(', run: ["sleep 1000"]'));
    put("own/failing/lab.yaml", guests(', run: ["echo the reason; false"]'));
    put("own/other/lab.yaml", "name: x\nguests: { a: {}, c: {} }\nlinks: [[a, c]]\n");
    put("own/single.yaml", guests(""));
    const words = ["grade", join(root, "own.yaml"), "--submissions", join(root, "own")];
    const { grades } = await house.json(0, ...words);
    const of = (name: string) => ofStudent(grades, name);
    expect(of("right"), JSON.stringify(of("right"))).to.include({ points: 2 });
    expect(of("single"), JSON.stringify(of("single"))).to.include({ points: 2 });
    const reasons: Record<string, RegExp> = {
      escape: /`..\/right\/mine` is not a file of this submission/,
      absolute: /`\/etc\/passwd` is not a file of this submission/,
      link: /`mine` is not a file of this submission/,
      outside: /`internet` is not allowed here/,
      hosts: /this image is not allowed here/,
      environment: /the environment has no variable `PATH`/,
      broken: /^lab.yaml, line \d+/,
      greedy: /of memory; .* are allowed/,
      sleepy: /^it was not done within 10.0 s$/,
      failing: /the reason/,
      other: /has no guest b/,
    };
    for (const [name, reason] of Object.entries(reasons)) {
      expect(of(name), name).to.include({ state: "failed", points: 0 });
      expect(of(name).reason, name).to.match(reason);
    }
  });

  it("goes on where it was interrupted", async () => {
    house.topology("net", NETWORK);
    put(
      "resume.yaml",
      `name: Resume
topology: net.yaml
submission: { files: { a.sh: { guest: a, run: true } } }
tasks: [{ name: it runs, expect: { checks: [{ on: a, run: "true" }] } }]
limits: { script: 60s }
`,
    );
    put("re/one/a.sh", "true");
    put("re/two/a.sh", "sleep 50");
    const words = ["grade", join(root, "resume.yaml"), "--submissions", join(root, "re")];
    const child = house.start(...words, "--jobs", "2");
    const outcome = outcomeOf(child);
    let said = "";
    await new Promise<void>((resolve, reject) => {
      child.stderr?.on("data", (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes("one: 1 of 1")) resolve();
      });
      child.once("close", () => reject(new Error(`it ended: ${said}`)));
    });
    child.kill("SIGINT");
    expect((await outcome).status).to.equal(130);
    await house.expectNothingLeft();
    put("re/two/a.sh", "true");
    const result = await house.json(0, ...words);
    expect(result.resumed).to.equal(1);
    expect(result.grades.map(({ points }: Grade) => points)).to.deep.equal([1, 1]);
    expect((await house.json(0, ...words)).resumed).to.equal(0);
  });

  it("tells what is wrong with an assignment, with its place", async () => {
    house.topology("net", NETWORK);
    put(
      "bad.yaml",
      `name: x
topology: net.yaml
submission: { files: { a.sh: { guest: z } } }
tasks:
  - { name: t, expect: { reach: ["a -> c"] } }
limits: { tim: 5s }
`,
    );
    const { error } = await house.json(2, "grade", join(root, "bad.yaml"), "--submissions", root);
    expect(
      error.errors.map(({ line, message }: { line: number; message: string }) => [line, message]),
    ).to.deep.equal([
      [3, "nothing becomes of `a.sh`"],
      [3, "unknown guest `z`"],
      [5, "unknown guest `c`"],
      [6, "unknown key `tim`; did you mean `time`?"],
    ]);
  });
});
