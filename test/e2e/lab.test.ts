import { spawn } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import { eventually, House, outcomeOf } from "./house.ts";
import { processesOf } from "./leftovers.ts";

const TWO_LANS = join(packageRoot, "topologies", "two-lans.yaml");
const PAIR = `guests:
  a: {}
  b: {}
links: [[a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24]]
`;

const isRoot = process.getuid?.() === 0;

for (const nobody of isRoot ? [false, true] : [false]) {
  describe(`a lab, as ${isRoot && !nobody ? "root" : "an unprivileged user"}`, function () {
    this.timeout(400_000);
    let house: House;
    before(() => {
      house = new House({ nobody });
    });
    after(() => house.check());
    afterEach(async () => {
      await house.run("down", "--all");
      await house.run("clean");
      await house.expectNothingLeft();
    });

    it("comes up, is judged, and goes down without a trace", async () => {
      const report = await house.json(0, "up", TWO_LANS);
      expect(report.verdict).to.equal("pass");
      const pairs = new Set(
        report.reachability.map(({ from, to }: { from: string; to: string }) => `${from} ${to}`),
      );
      expect(pairs).to.have.lengthOf(6);
      for (const { reachable, rttMs, ok, why } of report.reachability) {
        expect({ reachable, ok, why }).to.deep.equal({ reachable: true, ok: true, why: null });
        expect(rttMs).to.be.greaterThan(0);
      }
      expect(statSync(house.runFolder).mode & 0o777).to.equal(0o700);

      const { labs } = await house.json(0, "ps");
      expect(labs).to.have.lengthOf(1);
      expect(labs[0]).to.include({ name: "two-lans", state: "running", guests: 3, file: TWO_LANS });

      const status = await house.json(0, "status");
      expect(status.guests.map(({ state }: { state: string }) => state)).to.deep.equal([
        "ready",
        "ready",
        "ready",
      ]);
      for (const { residentBytes, cpuSeconds } of status.guests) {
        expect(residentBytes).to.be.greaterThan(1e6);
        expect(cpuSeconds).to.be.greaterThan(0);
      }
      expect(status.counters.links).to.have.lengthOf(4);

      expect((await house.json(0, "verify", "two-lans")).verdict).to.equal("pass");
      await house.json(0, "down", TWO_LANS);
      await house.expectNothingLeft();
    });

    it("runs commands in guests, with their streams and exit status", async () => {
      await house.json(0, "up", house.topology("pair", PAIR));
      const echo = await house.run("exec", "a", "--", "sh", "-c", "echo out; echo err >&2; exit 7");
      expect(echo).to.deep.equal({ status: 7, stdout: "out\n", stderr: "err\n" });
      const child = house.start("exec", "b", "--", "wc", "-c");
      child.stdin?.end(Buffer.alloc(3_000_000));
      expect((await outcomeOf(child)).stdout.trim()).to.equal("3000000");
      const big = await house.run("exec", "b", "--", "head", "-c", "5000000", "/dev/zero");
      expect(big.stdout).to.have.lengthOf(5_000_000);
      expect((await house.run("exec", "nobody", "--", "true")).status).to.equal(2);
    });

    it("tests in one command, and its status is the verdict's", async () => {
      const file = house.topology(
        "wrong",
        `${PAIR}expect:
  settle: 200ms
  isolate: ["a -> b"]
  checks:
    - { name: right, on: a, run: "echo hello", output: /^hel+o/, points: 2 }
    - { name: wrong, on: b, run: "echo bye; exit 3", output: hello, within: 100ms, points: 3 }
`,
      );
      const report = await house.json(1, "test", file);
      expect(report.verdict).to.equal("fail");
      expect(report.score).to.deep.equal({ points: 2, of: 5 });
      expect(report.checks[0]).to.include({ name: "right", ok: true, points: 2, exit: 0 });
      expect(report.checks[1]).to.include({ ok: false, points: 0, exit: 3, output: "bye\n" });
      const pair = report.reachability.find(({ from }: { from: string }) => from === "a");
      expect(pair).to.include({ reachable: true, expected: "isolate", ok: false });
      expect(pair.why).to.match(/must not be reached/);
      await house.expectNothingLeft();
    });

    it("refuses a second lab of the same name, and names the first", async () => {
      const file = house.topology("pair", PAIR);
      const both = await Promise.all([house.run("up", file), house.run("up", file)]);
      expect(both.map(({ status }) => status).sort()).to.deep.equal([0, 2]);
      const { error } = await house.json(2, "up", file);
      const [lab] = (await house.json(0, "ps")).labs;
      expect(error.code).to.equal("LAB_EXISTS");
      expect(error.message).to.include(String(lab.pid)).and.include(file).and.include(lab.since);
    });

    it("runs several labs beside each other", async () => {
      const files = ["one", "two"].map((name) => house.topology(name, PAIR));
      const reports = await Promise.all(files.map((file) => house.json(0, "up", file)));
      expect(reports.map(({ lab }) => lab)).to.deep.equal(["one", "two"]);
      expect((await house.json(0, "ps")).labs).to.have.lengthOf(2);
      await house.json(0, "down", "one");
      expect((await house.json(0, "verify", "two")).verdict).to.equal("pass");
    });

    it("restarts, stops, starts, pauses and resumes guests", async () => {
      await house.json(0, "up", house.topology("pair", PAIR));
      const state = async () =>
        (await house.json(0, "status")).guests.map((guest: { state: string }) => guest.state);
      const reaches = async () =>
        (await house.run("exec", "a", "--", "sh", "-c", "fping -q -t 300 b; echo $?")).stdout;
      await house.json(0, "pause", "b");
      expect(await state()).to.deep.equal(["ready", "paused"]);
      expect(await reaches()).to.equal("1\n");
      await house.json(0, "resume", "b");
      expect(await reaches()).to.equal("0\n");
      await house.json(0, "stop", "b");
      expect(await state()).to.deep.equal(["ready", "stopped"]);
      expect((await house.run("exec", "b", "--", "true")).status).to.equal(4);
      await house.json(0, "start", "b");
      expect((await house.json(0, "verify")).verdict).to.equal("pass");
      await house.json(0, "restart", "a", "b");
      expect((await house.json(0, "verify")).verdict).to.equal("pass");
    });

    it("keeps the console from its first line", async () => {
      await house.json(0, "up", house.topology("pair", PAIR));
      await house.run("exec", "a", "--", "sh", "-c", "echo said-here > /dev/console");
      await eventually("the line in the logs", async () =>
        (await house.run("logs", "a")).stdout.includes("said-here"),
      );
    });

    it("undoes everything on Ctrl-C during up", async () => {
      const file = house.topology("slow", PAIR.replace("a: {}", 'a: { run: ["sleep 60"] }'));
      for (const until of ["supervisor-main", "launcher"]) {
        const child = house.start("up", file);
        const outcome = outcomeOf(child);
        await eventually(until, async () =>
          processesOf([house.folder]).some((line) => line.includes(until)),
        );
        child.kill("SIGINT");
        expect((await outcome).status).to.equal(130);
        await house.expectNothingLeft();
      }
    });

    it("undoes everything when the command is killed during up", async () => {
      const file = house.topology("slow", PAIR.replace("a: {}", 'a: { run: ["sleep 60"] }'));
      const child = house.start("up", file);
      const outcome = outcomeOf(child);
      await eventually("a guest", async () =>
        processesOf([house.folder]).some((line) => line.includes("launcher")),
      );
      child.kill("SIGKILL");
      await outcome;
      await house.expectNothingLeft();
    });

    it("fails, with its output, when a run command fails; nothing is left", async () => {
      const file = house.topology(
        "bad",
        PAIR.replace("a: {}", 'a: { run: ["echo the reason; exit 5"] }'),
      );
      const { error } = await house.json(4, "up", file);
      expect(error.code).to.equal("GUEST_SETUP");
      expect(error.message).to.include("the reason");
      await house.expectNothingLeft();
    });

    it("says before and after what memory the image needs, where a guest has less and fails", async () => {
      // a file in RAM, of which there is too little
      const text = `guests:\n  a: { memory: 32M, run: ["dd if=/dev/zero of=/tmp/big bs=1M count=40"] }\n`;
      const { status, stderr } = await house.run("up", house.topology("small", text));
      expect(status, stderr).to.equal(4);
      expect(stderr).to.match(/a: less memory than image base needs, which is 40 MiB/);
      expect(stderr).to.match(/image base needs at least 40 MiB, and a has 32 MiB/);
      await house.expectNothingLeft();
    });

    it("tells of a killed supervisor, leaves no guest, and mends", async () => {
      const file = house.topology("pair", PAIR);
      await house.json(0, "up", file);
      const [lab] = (await house.json(0, "ps")).labs;
      process.kill(lab.pid, "SIGKILL");
      await eventually("the end of all processes", async () => {
        return processesOf([house.folder]).length === 0;
      });
      const [crashed] = (await house.json(0, "ps")).labs;
      expect(crashed).to.include({ name: "pair", state: "crashed", pid: null });
      expect(crashed.problem).to.include(String(lab.pid));
      expect((await house.run("exec", "pair/a", "--", "true")).status).to.equal(4);
      await house.json(0, "clean");
      await house.expectNothingLeft();
      await house.json(0, "up", file);
    });

    it("ends the guests of a killed fabric, tells why, and mends", async () => {
      const file = house.topology("pair", PAIR);
      await house.json(0, "up", file);
      process.kill((await house.json(0, "status")).fabricPid, "SIGKILL");
      await eventually("the end of all processes", async () => {
        return processesOf([house.folder]).length === 0;
      });
      const [crashed] = (await house.json(0, "ps")).labs;
      expect(crashed.state).to.equal("crashed");
      expect(crashed.problem).to.match(/fabric .* was ended by SIGKILL/);
      await house.json(0, "down", "pair");
      expect(existsSync(join(house.runFolder, "pair"))).to.equal(false);
      await house.expectNothingLeft();
    });

    it("goes on without a guest that was killed, and says so", async () => {
      await house.json(
        0,
        "up",
        house.topology("pair", `${PAIR}expect: { settle: 300ms, reach: ["* -> *"] }\n`),
      );
      const { guests } = await house.json(0, "status");
      process.kill(guests[1].pid, "SIGKILL");
      await eventually("b failed", async () => {
        return (await house.json(0, "status")).guests[1].state === "failed";
      });
      expect((await house.run("exec", "a", "--", "true")).status).to.equal(0);
      const report = await house.json(1, "verify");
      const pair = report.reachability.find(({ from }: { from: string }) => from === "a");
      expect(pair.why).to.match(/b failed/);
      await house.json(0, "restart", "b");
      expect((await house.json(0, "verify")).verdict).to.equal("pass");
    });

    it("never ends a process that only has the pid of one of ours", async () => {
      const file = house.topology("pair", PAIR);
      await house.json(0, "up", file);
      const [lab] = (await house.json(0, "ps")).labs;
      const record = join(house.runFolder, "pair", "processes");
      // Somebody else's process, as if the fabric's pid had been given away.
      const other = spawn("sleep", ["100"]);
      try {
        const line = JSON.stringify({ what: "fabric", pid: other.pid, startTime: "1" });
        appendFileSync(record, `${line}\n`);
        process.kill(lab.pid, "SIGKILL");
        await eventually("crash", async () => {
          return (await house.json(0, "ps")).labs[0]?.state === "crashed";
        });
        await house.json(0, "clean");
        expect(other.exitCode).to.equal(null);
        expect(readFileSync(`/proc/${other.pid}/stat`, "latin1")).to.not.match(/\) Z/);
      } finally {
        other.kill();
      }
    });
  });
}
