import type { ChildProcess } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { LabError, messageOf } from "../../base/errors.ts";
import { ensureSymbols } from "../../kernel/debug/symbols.ts";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { ensureKernel, listKernels } from "../../kernel/kernels.ts";
import { ensureTool } from "../../kernel/tools.ts";
import { eventually, House, type Outcome, outcomeOf } from "./house.ts";

const STAR = `guests:
  alice: {}
  fast: {}
  strict: { isolation: strict }
switches: { lan: {} }
links:
  - [alice:eth0=10.0.0.1/24, lan]
  - [fast:eth0=10.0.0.2/24, lan]
  - [strict:eth0=10.0.0.3/24, lan]
`;

const ADDRESSES: Readonly<Record<string, string>> = { fast: "10.0.0.2", strict: "10.0.0.3" };
const isRoot = process.getuid?.() === 0;

/** Resolves when a child has said it; rejects when it ended without. */
function hear(child: ChildProcess, words: string): Promise<void> {
  let said = "";
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        said += chunk.toString("utf8");
        if (said.includes(words)) resolve();
      });
    }
    child.once("close", () => reject(new Error(`never said "${words}": ${said}`)));
  });
}

/** Skips where there is no gdb. */
async function needGdb(context: Mocha.Context): Promise<void> {
  try {
    await ensureTool("gdb");
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    console.warn(`      no debugger is tried: gdb can't be had: ${messageOf(error)}`);
    context.skip();
  }
}

for (const nobody of isRoot ? [false, true] : [false]) {
  describe(`debug, as ${isRoot && !nobody ? "root" : "an unprivileged user"}`, function () {
    this.timeout(600_000); // the unprivileged user fills a cache first
    let house: House;

    before(async function () {
      await needGdb(this);
      house = new House({ nobody });
      await house.json(0, "up", house.topology("star", STAR));
    });
    after(async () => await house?.check());

    const ping = (guest: string) => house.sh("alice", `ping -c 1 -W 60 ${ADDRESSES[guest]}`);
    const stateOf = async (guest: string): Promise<string> => {
      const { guests } = await house.json(0, "status");
      return guests.find(({ name }: { name: string }) => name === guest).state;
    };
    /** Runs gdb up to where it lets the kernel go until a breakpoint; the rest happens when that hits. */
    const debugging = async (guest: string, breakpoint: string, ...rest: string[]) => {
      const words = [`break ${breakpoint}`, 'printf "off it goes\\n"', "continue", ...rest];
      const child = house.start(
        "debug",
        guest,
        "--",
        "-batch",
        ...words.flatMap((w) => ["-ex", w]),
      );
      const ended = outcomeOf(child);
      await hear(child, "off it goes");
      return { ended };
    };

    for (const guest of ["fast", "strict"]) {
      it(`stops a ${guest} guest at icmp_rcv when a ping comes, and the lab goes on`, async () => {
        const { ended } = await debugging(guest, "icmp_rcv");
        // answered when gdb, at its end, has let the kernel go on
        const [answer, { status, stdout, stderr }] = await Promise.all([ping(guest), ended]);
        expect(answer).to.match(/1 (packets )?received/);
        expect(status, stderr).to.equal(0);
        expect(stdout).to.match(/hit Breakpoint 1, .*icmp_rcv \(/);
        expect(await stateOf(guest)).to.equal("ready");
        await ping(guest);
      });
    }

    it("shows who called whom, by name", async () => {
      const { ended } = await debugging("fast", "icmp_rcv", "backtrace");
      const [, { stdout }] = await Promise.all([ping("fast"), ended]);
      expect(stdout).to.match(/^#0 .* icmp_rcv \(/m);
      expect(stdout).to.match(/^#\d+ .* ip_local_deliver_finish \(/m);
    });

    it("is no failure of the guest, and with --freeze the others wait", async () => {
      const child = house.start("debug", "fast", "--freeze");
      const ended = outcomeOf(child);
      await eventually("alice waits", async () => (await stateOf("alice")) === "paused");
      expect(await stateOf("fast")).to.equal("debugged");
      const refused = await house.run("exec", "fast", "--", "true");
      expect(refused.status).to.equal(4);
      expect(refused.stderr).to.match(/stopped in a debugger/);
      const report = await house.json(1, "verify");
      const whys = report.reachability.map(({ why }: { why: string }) => why).join("\n");
      expect(whys).to.match(/fast is stopped in a debugger/);
      expect(whys).not.to.match(/crashed|failed|its kernel ended/);
      // whoever debugs is killed: the kernel goes on, and so do the others
      child.kill("SIGKILL");
      await ended;
      await eventually("all go on", async () =>
        (await Promise.all(["alice", "fast", "strict"].map(stateOf))).every((s) => s === "ready"),
      );
      await ping("fast");
      await ping("strict");
    });

    it("leaves no breakpoint in the kernel when gdb is killed", async () => {
      const { ended } = await debugging("fast", "icmp_rcv");
      const { hostProcesses } = await house.json(0, "inspect", "fast");
      const kernel = hostProcesses.find(({ role }: { role: string }) => role === "kernel").pid;
      const status = readFileSync(`/proc/${kernel}/status`, "latin1");
      const tracer = Number(/^TracerPid:\s*(\d+)$/m.exec(status)?.[1]);
      expect(tracer).to.be.greaterThan(1);
      process.kill(tracer, "SIGKILL");
      expect((await ended).status).to.equal(137);
      await ping("fast");
      expect(await stateOf("fast")).to.equal("ready");
    });

    it("refuses a second debugger, and ends with its lab", async () => {
      const child = house.start("debug", "fast", "--", "-ex", 'printf "it stands\\n"');
      const ended = outcomeOf(child);
      await hear(child, "it stands");
      expect(await stateOf("fast")).to.equal("debugged");
      const second = await house.run("debug", "fast", "--", "-batch");
      expect(second.status).to.equal(4);
      expect(second.stderr).to.match(/being debugged already/);
      await house.json(0, "down");
      const { status, stderr } = await ended;
      expect(status).to.equal(4);
      expect(stderr).to.match(/gdb at fast was ended/);
      await house.expectNothingLeft();
    });

    it("holds a kernel where it begins, while the others boot", async () => {
      const child = house.start("up", house.topology("held", STAR), "--debug", "strict");
      const ended: Promise<Outcome> = outcomeOf(child);
      child.stdin?.write("backtrace\n");
      const state = async (guest: string) => {
        const { stdout } = await house.run("status", "held", "--format", "json");
        return stdout === ""
          ? undefined
          : JSON.parse(stdout).guests?.find(({ name }: { name: string }) => name === guest)?.state;
      };
      await eventually("the others are ready", async () => (await state("alice")) === "ready");
      expect(await state("strict")).to.equal("starting");
      child.stdin?.end("detach\n");
      const { status, stdout, stderr } = await ended;
      expect(status, stdout + stderr).to.equal(0);
      expect(stdout).to.match(/#0 .* start_kernel \(/);
      expect(stdout).to.match(/PASS held/);
      const wrong = await house.run("up", house.topology("wrong", STAR), "--debug", "stirct");
      expect(wrong.status).to.equal(2);
    });
  });
}

describe("gdb's commands of a kernel", function () {
  this.timeout(600_000);
  const override = process.env.UML_LAB_KERNEL;
  let house: House;
  let kernel: Kernel;

  before(async function () {
    await needGdb(this);
    house = new House();
    kernel = await ensureKernel("auto");
    delete process.env.UML_LAB_KERNEL; // it goes before what a topology says
  });
  after(async () => {
    if (override !== undefined) process.env.UML_LAB_KERNEL = override;
    await house?.check();
  });
  afterEach(async () => void (await house.run("down", "--all")));

  const boot = (executable: string) =>
    house.json(0, "up", house.topology("one", `kernel: ${executable}\nguests: { a: {} }\n`));
  const debug = (...commands: string[]) =>
    house.run("debug", "a", "--", "-batch", ...commands.flatMap((command) => ["-ex", command]));

  it("are loaded from beside it; where they don't load, one line says so", async () => {
    const { file, what } = await ensureSymbols(kernel);
    const folder = join(house.folder, "files", "kernel");
    const scripts = what === "all" && existsSync(`${file}.debug`) ? join(folder, "gdb") : folder;
    mkdirSync(scripts, { recursive: true });
    copyFileSync(file, join(folder, "linux"));
    if (scripts !== folder) symlinkSync(`${file}.debug`, join(folder, "linux.debug"));
    if (kernel.modules !== undefined) symlinkSync(kernel.modules, join(folder, "modules"));
    const script = join(scripts, "vmlinux-gdb.py");
    await boot(join(folder, "linux"));

    writeFileSync(script, 'gdb.execute("define lx-word\\necho a word\\\\n\\nend")\n');
    const loaded = await debug("lx-word", "info registers rip");
    expect(loaded.stderr).not.to.include("left away");
    expect(loaded.stdout).to.match(/^a word$/m);
    expect(loaded.stdout).to.match(/^rip /m);

    writeFileSync(script, 'raise gdb.GdbError("it is of\\nanother gdb")\n');
    const broken = await debug("info registers rip");
    expect(broken.stderr).to.match(/^.*lx-ps.* left away: it is of another gdb$/m);
    expect(broken.stderr).not.to.match(/Traceback/);
    expect(broken.stdout).to.match(/^rip /m);
  });

  it("tell a guest's tasks and its log (kernel build --debug)", async function () {
    const helped = (await listKernels()).find(({ executable }) =>
      existsSync(join(dirname(executable), "gdb", "vmlinux-gdb.py")),
    );
    if (helped === undefined) {
      console.warn("      SKIPPED: no kernel in the cache is made by `kernel build --debug`");
      return this.skip();
    }
    await boot(helped.executable);
    const pid = (await house.sh("a", "sleep 1000 > /dev/null 2>&1 & echo $!")).trim();
    await house.sh("a", "echo a word to the log > /dev/kmsg");
    const { status, stdout, stderr } = await debug("lx-version", "lx-ps", "lx-dmesg");
    expect(status, stderr).to.equal(0);
    expect(stderr).not.to.include("left away");
    expect(stdout).to.include(`Linux version ${helped.release}`);
    expect(stdout).to.match(new RegExp(`^0x[0-9a-f]+ +${pid} +sleep$`, "m"));
    expect(stdout).to.match(/\] a word to the log$/m);
    expect(await house.sh("a", "echo goes on")).to.equal("goes on\n");
  });
});
