import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import type { GuestProcess } from "../../kernel/guest/spec.ts";
import { cli, engineWith, expectGolden, fakeLab, status } from "./fakes.ts";

const RECORDED = readFileSync(join(packageRoot, "test/kernel/trace/recorded.txt"), "utf8");

/** What a guest's shell prints; it ends by itself, or when it is told to. */
function shell(out: string, how: { goesOn?: boolean; code?: number; err?: string } = {}) {
  const kills: number[] = [];
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  let exit: (value: { code: number; signal: undefined }) => void = () => {};
  const exited = new Promise<{ code: number; signal: undefined }>((resolve) => {
    exit = resolve;
  });
  const finish = () => {
    if (!stdout.writableEnded) stdout.end();
    stderr.end(how.err ?? "");
    exit({ code: how.code ?? 0, signal: undefined });
  };
  stdout.write(out);
  if (how.goesOn !== true) finish();
  const process: GuestProcess = {
    stdin: new PassThrough(),
    stdout,
    stderr,
    exit: exited,
    resize: () => {},
    kill: (signal) => {
      kills.push(signal);
      if (how.goesOn === true) finish();
    },
  };
  return { process, kills };
}

const tracing = (process: GuestProcess) => fakeLab({ exec: () => process });

describe("trace", () => {
  it("is one line an event, in columns", async () => {
    const lab = tracing(shell(`uml-lab: ready\n${RECORDED}`, { goesOn: true }).process);
    const { stdout, stderr } = await cli(["trace", "alice", "-n", "40"], engineWith(lab));
    expectGolden("trace.txt", stdout);
    expect(stderr).to.equal("tracing alice; Ctrl-C ends it\n");
  });

  it("is one document an event", async () => {
    const lab = tracing(shell(`uml-lab: ready\n${RECORDED}`, { goesOn: true }).process);
    const words = ["trace", "alice", "--count", "3", "--format", "json"];
    const { status, stdout } = await cli(words, engineWith(lab));
    expect(status).to.equal(0);
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events).to.have.lengthOf(3);
    for (const event of events) expect(event).to.include.keys("timeUs", "kind", "what", "packet");
  });

  it("ends the guest's part after --count events, and when interrupted", async () => {
    const counted = shell(`uml-lab: ready\n${RECORDED}`, { goesOn: true });
    await cli(["trace", "alice", "-n", "1"], engineWith(tracing(counted.process)));
    expect(counted.kills).to.deep.equal([15]);
    const abort = new AbortController();
    const interrupted = shell("uml-lab: ready\n", { goesOn: true });
    const outcome = cli(["trace", "alice"], engineWith(tracing(interrupted.process)), {
      signal: abort.signal,
    });
    setTimeout(() => abort.abort(), 10);
    expect((await outcome).status).to.equal(0);
    expect(interrupted.kills).to.include(15);
  });

  it("shows only what was asked for", async () => {
    const lab = tracing(shell(`uml-lab: ready\n${RECORDED}`, { goesOn: true }).process);
    const words = ["trace", "alice", "--only", "drop,icmp", "-n", "4", "--format", "json"];
    const { stdout } = await cli(words, engineWith(lab));
    const kinds = new Set(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).kind),
    );
    expect([...kinds].sort()).to.deep.equal(["drop", "icmp"]);
    const [, , request] = lab.calls.find(([name]) => name === "exec") as [
      string,
      string,
      { command: string[] },
    ];
    const script = request.command.at(-1);
    expect(script).to.include("on skb/kfree_skb\n");
    expect(script).not.to.include("net_dev_queue");
  });

  it("says what to do where the kernel can't, or the image lacks something", async () => {
    const old = tracing(shell("uml-lab: without tracefs\n", { code: 1 }).process);
    const kernel = await cli(["trace", "alice"], engineWith(old));
    expect(kernel.status).to.equal(3);
    expect(kernel.stderr).to.equal(
      `error: the kernel of alice (${status().guests[0]?.kernel}) has no trace events\n` +
        "  = make one that has them, once: uml-lab kernel build --debug; labs that start from then on have it\n",
    );
    for (const process of [
      shell("", { code: 127, err: "sh: no such file or directory\n" }).process,
      shell("uml-lab: without mount\n", { code: 1 }).process,
    ]) {
      const { status, stderr } = await cli(["trace", "alice"], engineWith(tracing(process)));
      expect(status).to.equal(3);
      expect(stderr).to.match(/^error: alice can't be traced without (sh|mount) \(image base\)/);
    }
  });

  it("tells when it ends without being told to", async () => {
    const lab = tracing(shell("uml-lab: ready\n", { err: "it was killed\n" }).process);
    const { status, stderr } = await cli(["trace", "alice"], engineWith(lab));
    expect(status).to.equal(4);
    expect(stderr).to.include("the trace of alice ended: it was killed");
  });

  it("refuses kinds and counts that there are not", async () => {
    const engine = engineWith(fakeLab());
    const kind = await cli(["trace", "alice", "--only", "receive,dorp"], engine);
    expect(kind.status).to.equal(2);
    expect(kind.stderr).to.include("did you mean `--only drop`?");
    expect((await cli(["trace", "alice", "-n", "0"], engine)).status).to.equal(2);
    expect((await cli(["trace", "alice", "-n", "x"], engine)).status).to.equal(2);
  });
});
