import { expect } from "chai";
import { LabError } from "../../base/errors.ts";
import type { LabSummary } from "../../lab/api.ts";
import {
  cli,
  engineWith,
  expectGolden,
  fakeEngine,
  fakeLab,
  guestProcess,
  pair,
  report,
  summary,
} from "./fakes.ts";

describe("up, test and verify", () => {
  const pass = report({ reachability: [pair({ from: "alice", to: "bob" })] });
  const fail = report({
    verdict: "fail",
    reachability: [pair({ from: "alice", to: "bob", reachable: false, ok: false, why: "so" })],
  });

  it("give 0 for pass and 1 for fail", async () => {
    for (const [value, status] of [
      [pass, 0],
      [fail, 1],
    ] as const) {
      const lab = fakeLab({ report: value });
      const engine = {
        ...engineWith(lab),
        upLab: async () => ({ lab, report: value }),
        testLab: async () => value,
      };
      expect((await cli(["up", "x.yaml"], engine)).status).to.equal(status);
      expect((await cli(["test", "x.yaml"], engine)).status).to.equal(status);
      expect((await cli(["verify"], engine)).status).to.equal(status);
    }
  });

  it("print the report as one JSON document, progress beside it", async () => {
    const engine = fakeEngine({
      testLab: async ({ onEvent }) => {
        onEvent({ type: "step", step: "booting", detail: "2 guests" });
        onEvent({ type: "guest", guest: "alice", state: "starting" });
        onEvent({ type: "guest", guest: "alice", state: "ready", ms: 210 });
        return pass;
      },
    });
    const loud = await cli(["test", "x.yaml", "--format", "json"], engine);
    expect(JSON.parse(loud.stdout)).to.deep.equal(pass);
    expect(loud.stderr).to.equal("booting: 2 guests\nalice: ready (210 ms)\n");
    const quiet = await cli(["test", "x.yaml", "--quiet"], engine);
    expect(quiet.stderr).to.equal("");
    const verbose = await cli(["test", "x.yaml", "--verbose"], engine);
    expect(verbose.stderr).to.include("alice: starting\n");
  });

  it("leave only the connection, not the lab, after up", async () => {
    const lab = fakeLab();
    await cli(["up", "x.yaml"], { ...engineWith(lab), upLab: async () => ({ lab, report: pass }) });
    expect(lab.calls).to.deep.equal([["dispose"]]);
  });

  it("say where a report can't be written", async () => {
    const engine = fakeEngine({ testLab: async () => pass });
    const outcome = await cli(["test", "x.yaml", "--junit", "/proc/none/x.xml"], engine);
    expect(outcome.status).to.equal(2);
    expect(outcome.stderr).to.include("can't write /proc/none/x.xml");
  });
});

describe("exec", () => {
  it("gives the command's output, errors and exit status, and passes standard input", async () => {
    const lab = fakeLab({
      exec: () => guestProcess((input) => ({ out: input.toUpperCase(), err: "oops\n", code: 7 })),
    });
    const outcome = await cli(["exec", "alice", "--", "tr", "a-z", "A-Z"], engineWith(lab), {
      input: "hello\n",
    });
    expect(outcome).to.deep.equal({ status: 7, stdout: "HELLO\n", stderr: "oops\n" });
    expect(lab.calls[0]).to.deep.equal([
      "exec",
      "alice",
      { command: ["tr", "a-z", "A-Z"], env: {} },
    ]);
  });

  it("gives 128 + N where signal N ended the command", async () => {
    const lab = fakeLab({ exec: () => guestProcess(() => ({ signal: 9 })) });
    expect((await cli(["exec", "alice", "x"], engineWith(lab))).status).to.equal(137);
  });

  it("sends an interruption to the command", async () => {
    const abort = new AbortController();
    const process = guestProcess(() => ({}));
    process.stdin.removeAllListeners("end");
    const lab = fakeLab({
      exec: () => {
        setImmediate(() => abort.abort());
        return process;
      },
    });
    const { status } = await cli(["exec", "alice", "x"], engineWith(lab), { signal: abort.signal });
    expect(process.kills).to.deep.equal([2]);
    expect(status).to.equal(130);
  });

  it("answers one JSON document", async () => {
    const lab = fakeLab({ exec: () => guestProcess(() => ({ out: "a\n", err: "b\n", code: 3 })) });
    const { status, stdout } = await cli(["exec", "--format", "json", "h", "x"], engineWith(lab));
    expect(status).to.equal(3);
    expect(JSON.parse(stdout)).to.deep.equal({
      guest: "h",
      command: ["x"],
      exit: 3,
      stdout: "a\n",
      stderr: "b\n",
    });
  });

  it("refuses a variable without a value", async () => {
    const { status, stderr } = await cli(["exec", "-e", "A", "alice", "x"], engineWith(fakeLab()));
    expect(status).to.equal(2);
    expect(stderr).to.include("-e A=VALUE");
  });
});

describe("which lab, which guest", () => {
  const two: LabSummary[] = [summary("one"), summary("two")];
  const asked: (string | undefined)[] = [];
  const engine = fakeEngine({
    listLabs: async () => two,
    findLab: async (name) => {
      asked.push(name);
      return fakeLab({ exec: () => guestProcess(() => ({})) });
    },
  });
  beforeEach(() => asked.splice(0));

  it("is an error that lists the labs where several run and none is named", async () => {
    const { status, stderr } = await cli(["status"], engine);
    expect(status).to.equal(2);
    expect(stderr).to.include("2 labs are running").and.include("one, two");
  });

  it("is named by LAB/GUEST or --lab", async () => {
    await cli(["exec", "two/alice", "true"], engine);
    await cli(["exec", "--lab", "one", "alice", "true"], engine);
    await cli(["stop", "two/a", "two/b"], engine);
    expect(asked).to.deep.equal(["two", "one", "two"]);
  });

  it("is one lab at a time", async () => {
    const { status, stderr } = await cli(["stop", "one/a", "two/b"], engine);
    expect(status).to.equal(2);
    expect(stderr).to.include("one, two");
  });

  it("says how to start one where none runs", async () => {
    const { status, stderr } = await cli(["down"], fakeEngine());
    expect(status).to.equal(2);
    expect(stderr).to.include("no lab is running").and.include("uml-lab up FILE");
  });

  it("ends all with --all, and none is no error", async () => {
    expect(await cli(["down", "--all"], engine)).to.include({ status: 0 });
    expect(asked).to.deep.equal(["one", "two"]);
    const none = await cli(["down", "--all"], fakeEngine());
    expect(none).to.include({ status: 0, stdout: "no lab is running\n" });
  });
});

describe("lists", () => {
  it("show labs, with what crashed and how to mend it", async () => {
    const labs = [
      summary("two-lans"),
      summary("ring", { state: "crashed", pid: null, problem: "its supervisor was killed" }),
    ];
    const { stdout } = await cli(["ps"], fakeEngine({ listLabs: async () => labs }));
    expectGolden("ps.txt", stdout);
    const json = await cli(["ps", "--format", "json"], fakeEngine({ listLabs: async () => labs }));
    expect(JSON.parse(json.stdout)).to.deep.equal({ labs });
  });

  it("show a lab's guests and links", async () => {
    expectGolden("status.txt", (await cli(["status"], engineWith(fakeLab()))).stdout);
  });

  it("tell what the machine lacks, with status 3 for what is required", async () => {
    const finding = {
      name: "apt",
      ok: false,
      level: "required",
      found: "none",
      mend: "do so",
    } as const;
    const lacking = fakeEngine({ examineMachine: async () => [finding] });
    const outcome = await cli(["doctor"], lacking);
    expect(outcome.status).to.equal(3);
    expect(outcome.stdout).to.include("✘ apt  none\n").and.include("do so");
    const recommended = { ...finding, level: "recommended" } as const;
    const well = fakeEngine({ examineMachine: async () => [recommended] });
    expect((await cli(["doctor"], well)).status).to.equal(0);
  });
});

describe("guests' lives and links", () => {
  it("reach the lab with all their guests", async () => {
    for (const verb of ["restart", "stop", "start", "pause", "resume"]) {
      const lab = fakeLab();
      const { status } = await cli([verb, "alice", "bob"], engineWith(lab));
      expect(status).to.equal(0);
      expect(lab.calls[0]).to.deep.equal([verb, ["alice", "bob"]]);
    }
  });

  it("pull and plug cables", async () => {
    const lab = fakeLab();
    await cli(["link", "down", "core"], engineWith(lab));
    await cli(["link", "up", "core"], engineWith(lab));
    const calls = lab.calls.filter(([name]) => name === "setLink");
    expect(calls).to.deep.equal([
      ["setLink", "core", { up: false }],
      ["setLink", "core", { up: true }],
    ]);
  });

  it("change cables in the words of the topology language", async () => {
    const lab = fakeLab();
    const words = ["link", "set", "core", "delay=10ms", "loss=1%", "rate=1.5Mbit", "queue=100"];
    const { status, stdout } = await cli(words, engineWith(lab));
    expect(status).to.equal(0);
    expect(stdout).to.equal("core: delay=10ms loss=1% rate=1.5Mbit queue=100\n");
    const one = { delayNs: 10e6, loss: 0.01, rateBitsPerSec: 1.5e6, queue: { frames: 100 } };
    expect(lab.calls[0]).to.deep.equal(["setLink", "core", { impairments: [one, one] }]);
  });

  for (const [word, hint] of [
    ["dealy=1ms", "did you mean `delay`"],
    ["loss=150%", "loss=1%"],
    ["delay=10", "delay=10ms"],
    ["delay", "delay=10ms"],
  ] as const) {
    it(`refuse \`${word}\` before a lab is asked`, async () => {
      const { status, stderr } = await cli(["link", "set", "core", word], fakeEngine());
      expect(status).to.equal(2);
      expect(stderr).to.include(hint);
    });
  }

  it("name the link that was meant", async () => {
    const { status, stderr } = await cli(["link", "show", "cor"], engineWith(fakeLab()));
    expect(status).to.equal(2);
    expect(stderr).to.include("did you mean `core`");
  });
});

describe("logs", () => {
  it("print the console", async () => {
    const { status, stdout } = await cli(["logs", "alice"], engineWith(fakeLab()));
    expect({ status, stdout }).to.deep.equal({ status: 0, stdout: "Linux version 7.2.7\n" });
  });
});

describe("cp", () => {
  it("wants one of the two in a guest", async () => {
    for (const places of [
      ["a", "b"],
      ["alice:/a", "bob:/b"],
    ]) {
      const { status, stderr } = await cli(["cp", ...places], engineWith(fakeLab()));
      expect(status).to.equal(2);
      expect(stderr).to.include("GUEST:/PATH");
    }
  });

  it("carries standard input into a guest, quoted whatever its path", async () => {
    let received = "";
    const lab = fakeLab({
      exec: () =>
        guestProcess((input) => {
          received = input;
          return {};
        }),
    });
    const { status } = await cli(["cp", "-", "alice:/tmp/it's"], engineWith(lab), {
      input: "data",
    });
    expect({ status, received }).to.deep.equal({ status: 0, received: "data" });
    const [, guest, request] = lab.calls[0] as [string, string, { command: string[] }];
    expect(guest).to.equal("alice");
    expect(request.command[2]).to.include("to='/tmp/it'\\''s'");
  });

  it("tells the guest's own words when it fails", async () => {
    const lab = fakeLab({ exec: () => guestProcess(() => ({ err: "sh: no space\n", code: 1 })) });
    const { status, stderr } = await cli(["cp", "-", "alice:/x"], engineWith(lab));
    expect(status).to.equal(4);
    expect(stderr).to.include("alice: sh: no space");
  });
});

describe("completion", () => {
  const complete = async (...words: string[]) =>
    (await cli(["complete-words", "--", ...words], engineWith(fakeLab()))).stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split("\t")[0]);

  it("offers commands, and the second words of groups", async () => {
    expect(await complete("li")).to.deep.equal(["link"]);
    expect(await complete("link", "")).to.deep.equal([
      "show",
      "set",
      "up",
      "down",
      "add",
      "remove",
    ]);
    expect(await complete(""))
      .to.include("up")
      .and.not.include("complete-words");
  });

  it("offers options, their choices, and files", async () => {
    expect(await complete("test", "--j")).to.deep.equal(["--junit"]);
    expect(await complete("ps", "--format", "")).to.deep.equal(["text", "json"]);
    expect(await complete("trace", "--only", "dr")).to.deep.equal(["drop"]);
    expect(await complete("trace", "--only", "drop,r")).to.deep.equal([
      "drop,receive",
      "drop,route",
    ]);
    expect(await complete("test", "--junit", "")).to.deep.equal([":files"]);
    expect(await complete("up", "")).to.deep.equal([":topologies"]);
  });

  it("offers labs, guests and links that there are", async () => {
    expect(await complete("down", "")).to.deep.equal(["two-lans"]);
    expect(await complete("shell", "a")).to.deep.equal(["alice"]);
    expect(await complete("shell", "two-lans/")).to.deep.equal(["two-lans/alice", "two-lans/bob"]);
    expect(await complete("link", "set", "")).to.deep.equal(["core"]);
    expect(await complete("shell", "alice", "")).to.deep.equal([]);
  });

  it("says nothing where a lab can't be asked", async () => {
    const engine = fakeEngine({ listLabs: () => Promise.reject(new LabError("TIMEOUT", "slow")) });
    const outcome = await cli(["complete-words", "--", "down", ""], engine);
    expect(outcome).to.deep.equal({ status: 0, stdout: "", stderr: "" });
  });

  it("has a script for bash, zsh and fish", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      expect((await cli(["completion", shell])).stdout).to.include("complete-words");
    }
    const { status, stderr } = await cli(["completion", "bsh"]);
    expect(status).to.equal(2);
    expect(stderr).to.include("completion bash");
  });
});

describe("help", () => {
  it("is an overview, or a command's", async () => {
    expect((await cli(["help"])).stdout).to.include("uml-lab up topologies/two-lans.yaml");
    expect((await cli(["help", "exec"])).stdout).to.include("exec [options] GUEST -- CMD");
    expect((await cli(["exec", "--help"])).stdout).to.equal((await cli(["help", "exec"])).stdout);
    expect((await cli(["help", "link"])).stdout).to.include("link set");
    expect((await cli(["help", "exce"])).stderr).to.include("did you mean `uml-lab exec`");
  });

  it("is what no words at all give, with status 2", async () => {
    expect(await cli([])).to.include({ status: 2, stderr: "" });
  });
});

describe("kernel list", () => {
  it("tells what each is made from", async () => {
    const lean = {
      id: "lean-7.3.4-1a2b3c",
      release: "7.3.4-lean",
      executable: "/cache/linux",
      modules: undefined,
      madeFrom: ["linux-source-7.3 7.3.4-1 (trixie-backports)", "lean.config", "0001-mend-it"],
      features: { seccomp: true, timeTravel: true, tickless: true },
    };
    const { stdout } = await cli(
      ["kernel", "list"],
      fakeEngine({ listKernels: async () => [lean] }),
    );
    expect(stdout).to.include("lean-7.3.4-1a2b3c is made from\n  linux-source-7.3 7.3.4-1 ");
    expect(stdout).to.include("\n  0001-mend-it\n");
  });
});

describe("kernel build", () => {
  it("tells of work of minutes at every tenth where nobody watches live", async () => {
    const compiling = { what: "compiling", total: 100, unit: "items" } as const;
    const engine = fakeEngine({
      buildKernel: async ({ onProgress }) => {
        onProgress?.({ ...compiling, done: 0 });
        for (let done = 1; done < 25; done++) {
          onProgress?.({ ...compiling, done, leftMs: (100 - done) * 3000 });
        }
        throw new LabError("BUILD_FAILED", "enough");
      },
    });
    const { stderr } = await cli(["kernel", "build"], engine);
    const told = stderr.split("\n").filter((line) => line.startsWith("compiling"));
    expect(told).to.deep.equal([
      "compiling",
      "compiling: 10 of 100, about 5 min left",
      "compiling: 20 of 100, about 4 min left",
    ]);
  });
});
