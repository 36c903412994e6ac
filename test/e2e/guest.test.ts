import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Duplex } from "node:stream";
import { expect } from "chai";
import { Client } from "ssh2";
import type { LabError } from "../../base/errors.ts";
import { hostProcessesOf } from "../../kernel/guest/host-processes.ts";
import type { GuestPhase, RunningGuest } from "../../kernel/guest/spec.ts";
import { SSH_SERVER } from "../../kernel/guest/ssh.ts";
import { Guests, shell, until } from "./guests.ts";

describe("a guest", () => {
  const guests = new Guests();
  const phases: GuestPhase[] = [];
  let guest: RunningGuest;
  let recordedFirst = false;

  before(async () => {
    guest = await guests.boot(
      "alice",
      {
        cpu: 0,
        memoryBytes: 256 << 20, // for hundreds of processes at once
        setup: {
          hosts: [{ address: "10.0.0.2", names: ["bob"] }],
          sysctl: { "net.ipv4.ip_forward": "1" },
          files: [{ path: "/etc/deep/down", content: Buffer.from("here"), mode: 0o640 }],
          env: { COLOUR: "blue" },
          run: ["test $COLOUR = blue", "cat /etc/deep/down > /tmp/seen"],
        },
      },
      {
        onPhase: (phase) => phases.push(phase),
        onProcess: () => {
          recordedFirst = phases.length === 0;
        },
      },
    );
  });
  after(async () => {
    await guest[Symbol.asyncDispose]();
    await guest[Symbol.asyncDispose]();
    await guests.check();
  });

  it("tells its phases, and its process before anything else", () => {
    expect(phases).to.deep.equal(["starting", "agent", "setup", "ready"]);
    expect(recordedFirst).to.equal(true);
    expect(guest.bootMs).to.be.greaterThan(0);
  });

  it("is what its setup says", async () => {
    const { stdout } = await shell(
      guest,
      "hostname; cat /proc/sys/net/ipv4/ip_forward /tmp/seen; echo; stat -c %a /etc/deep/down;" +
        "grep bob /etc/hosts; cat /sys/class/net/lo/operstate; echo $COLOUR; id -u; echo $HOME",
    );
    expect(stdout.split("\n")).to.deep.equal([
      "alice",
      "1",
      "here",
      "640",
      "10.0.0.2 bob",
      "unknown",
      "blue",
      "0",
      "/root",
      "",
    ]);
  });

  it("runs on one CPU of the host", () => {
    const pids = hostProcessesOf(guest.process);
    expect(pids.length).to.be.greaterThan(1);
    for (const pid of pids) {
      const status = readFileSync(`/proc/${pid}/status`, "latin1");
      expect(/^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1]).to.equal("0");
    }
  });

  it("keeps the streams and the exit status of a command apart", async () => {
    const result = await shell(guest, "echo out; echo err >&2; exit 3");
    expect(result).to.deep.equal({ code: 3, stdout: "out\n", stderr: "err\n" });
  });

  it("gives a command its arguments, environment and folder", async () => {
    const { stdout } = await guest.run({
      command: ["sh", "-c", 'printf "%s|" "$@" "$COLOUR" "$PWD"', "sh", "a b", "", "*"],
      env: { COLOUR: "red" },
      cwd: "/usr/bin",
    });
    expect(stdout).to.equal("a b||*|red|/usr/bin|");
  });

  it("says as a shell does why a command can't be run", async () => {
    expect(await guest.run({ command: ["nonsense"] })).to.deep.equal({
      code: 127,
      stdout: "",
      stderr: "nonsense: no such file or directory\n",
    });
    expect((await guest.run({ command: ["/etc/passwd"] })).code).to.equal(126);
    expect((await guest.run({ command: ["true"], cwd: "/nowhere" })).code).to.equal(127);
  });

  it("tells the signal that ended a command", async () => {
    const process = guest.exec({ command: ["sleep", "1000"] });
    process.kill(15);
    expect(await process.exit).to.deep.equal({ code: 143, signal: 15 });
  });

  it("takes and gives tens of megabytes unharmed", async () => {
    const bytes = randomBytes(30_000_000);
    const process = guest.exec({ command: ["cat"] });
    const hash = createHash("sha256");
    process.stdout.on("data", (chunk: Buffer) => hash.update(chunk));
    process.stderr.resume();
    process.stdin.end(bytes);
    expect(await process.exit).to.deep.equal({ code: 0, signal: undefined });
    expect(hash.digest("hex")).to.equal(createHash("sha256").update(bytes).digest("hex"));
  });

  it("runs many commands at once, more than there are channels", async () => {
    const results = await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        guest.run({ command: ["sh", "-c", `cat; echo ${i}`] }, { input: Buffer.from(`${i} `) }),
      ),
    );
    expect(results.map(({ stdout }) => stdout)).to.deep.equal(
      Array.from({ length: 300 }, (_, i) => `${i} ${i}\n`),
    );
  });

  it("is not stopped by a reader that does not read", async () => {
    const slow = guest.exec({ command: ["sh", "-c", "head -c 5000000 /dev/zero; echo end"] });
    expect((await shell(guest, "head -c 2000000 /dev/zero | wc -c")).stdout).to.match(/2000000/);
    let length = 0;
    for await (const chunk of slow.stdout) length += (chunk as Buffer).length;
    expect(length).to.equal(5_000_004);
    expect((await slow.exit).code).to.equal(0);
  });

  it("ends a command whose output nobody reads any more", async () => {
    const process = guest.exec({ command: ["yes"] });
    process.stdout.once("data", () => process.stdout.destroy());
    expect((await process.exit).signal).to.equal(13);
  });

  it("does not wait for what a command left in the background", async () => {
    const { stdout } = await shell(guest, "(sleep 1; echo late; echo done > /tmp/late) & echo now");
    expect(stdout).to.equal("now\n");
    // It may go on writing.
    await until(
      "the background process ends",
      async () => (await shell(guest, "cat /tmp/late")).stdout === "done\n",
    );
  });

  it("has terminals that know their size and Ctrl-C", async () => {
    const process = guest.exec({
      command: ["sh"],
      terminal: { columns: 80, rows: 24, term: "vt100" },
    });
    let seen = "";
    process.stdout.on("data", (chunk: Buffer) => {
      seen += chunk;
    });
    const says = (text: string) => until(`the terminal says ${text}`, () => seen.includes(text));
    process.stdin.write("trap 'echo resized' WINCH; echo $TERM; stty size; tty\n");
    await says("vt100");
    await says("24 80");
    await says("/dev/pts/");
    process.resize(132, 50);
    process.stdin.write("stty size\n");
    await says("50 132");
    await says("resized");
    process.stdin.write("echo begin; sleep 1000\n");
    await says("begin\r\n");
    await until("sleep runs", async () => (await shell(guest, "pidof sleep")).code === 0);
    process.stdin.write("\x03");
    process.stdin.write("echo status $?\n");
    await says("status 130");
    process.stdin.write("exit 7\n");
    expect(await process.exit).to.deep.equal({ code: 7, signal: undefined });
  });

  it("reads and writes files", async () => {
    const bytes = randomBytes(3_000_000);
    await guest.writeFile("/tmp/new/folder/file", bytes, 0o755);
    expect(Buffer.compare(await guest.readFile("/tmp/new/folder/file"), bytes)).to.equal(0);
    expect((await shell(guest, "stat -c %a /tmp/new/folder/file")).stdout).to.equal("755\n");
    const error: LabError = await guest.readFile("/nowhere").then(
      () => expect.fail("it was read"),
      (reason) => reason,
    );
    expect(error.code).to.equal("GUEST_FAILED");
    expect(error.message).to.equal("/nowhere can't be read: no such file or directory");
    expect((await guest.readFile("/proc/version")).length).to.be.greaterThan(0);
  });

  it("stands still while it is paused", async () => {
    guest.pause();
    const command = guest.run({ command: ["true"] });
    let answered = false;
    void command.then(() => {
      answered = true;
    });
    const states = () =>
      hostProcessesOf(guest.process).map(
        (pid) => /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1],
      );
    await until("all stand still", () => states().every((state) => state === "T" || state === "t"));
    expect(answered).to.equal(false);
    guest.resume();
    expect((await command).code).to.equal(0);
  });

  it("loads modules of its kernel on demand", async () => {
    const { code, stderr } = await shell(guest, "ip link add dummy9 type dummy");
    expect(stderr).to.equal("");
    expect(code).to.equal(0);
  });

  it("records its console", async () => {
    await shell(guest, "echo seen on the console > /dev/tty0");
    await until("the console is recorded", () =>
      readFileSync(guest.consolePath, "utf8").includes("seen on the console"),
    );
  });

  it("has a shell on its console once somebody types there", async () => {
    let seen = "";
    guest.console.output.on("data", (chunk: Buffer) => {
      seen += chunk;
    });
    guest.console.input.write("echo $((6 * 7)) on $(tty)\n");
    await until("the shell answers", () => seen.includes("42 on /dev/tty0"));
    guest.console.input.write("sleep 1000\n");
    await until("sleep runs", async () => (await shell(guest, "pidof sleep")).code === 0);
    guest.console.input.write("\x03echo status $?\n");
    await until("Ctrl-C ends it", () => seen.includes("status 130"));
    guest.console.input.write("exit\n");
  });

  it("serves SSH over the control channel", async () => {
    const server = guest.exec(SSH_SERVER);
    server.stderr.resume();
    const client = new Client();
    await new Promise((resolve, reject) => {
      client.once("ready", () => resolve(undefined)).once("error", reject);
      const sock = Duplex.from({ readable: server.stdout, writable: server.stdin });
      client.connect({ sock, username: "root", authHandler: ["none"] });
    });
    const output = await new Promise<string>((resolve, reject) => {
      client.exec("hostname; exit 3", (error, stream) => {
        if (error) return reject(error);
        let text = "";
        stream.on("data", (chunk: Buffer) => {
          text += chunk;
        });
        stream.on("close", (code: number) => resolve(`${text}${code}`));
      });
    });
    expect(output).to.equal("alice\n3");
    const files = await new Promise<string[]>((resolve, reject) => {
      client.sftp((error, sftp) => {
        if (error) return reject(error);
        sftp.readdir("/etc/deep", (failure, list) =>
          failure ? reject(failure) : resolve(list.map(({ filename }) => filename)),
        );
      });
    });
    expect(files).to.include("down");
    client.end();
    expect((await server.exit).code).to.equal(0);
  });

  it("is the same after it rebooted itself", async () => {
    const before = guest.exec({ command: ["sleep", "1000"] });
    void shell(guest, "echo gone > /etc/mark; reboot").catch(() => {});
    const error: LabError = await before.exit.then(
      () => expect.fail("it survived"),
      (reason) => reason,
    );
    expect(error.code).to.equal("GUEST_FAILED");
    await until(
      "it is set up again",
      async () => (await shell(guest, "cat /tmp/seen")).stdout === "here",
    );
    const { stdout } = await shell(guest, "hostname; cat /etc/mark");
    expect(stdout).to.equal("alice\n");
  });
});

describe("a guest that fails", () => {
  const guests = new Guests();
  after(() => guests.check());

  const failureOf = async (promise: Promise<unknown>): Promise<LabError> =>
    await promise.then(
      () => expect.fail("it did not fail"),
      (error) => error,
    );

  it("in its setup says which command and what it printed", async () => {
    const run = ["true", "echo oh no >&2; exit 5", "true"];
    const error = await failureOf(guests.boot("bad", { setup: { run } }));
    expect(error.code).to.equal("GUEST_SETUP");
    expect(error.message).to.equal(
      "guest bad: `echo oh no >&2; exit 5` ended with status 5\noh no",
    );
  });

  it("in its kernel shows the end of the console", async () => {
    const broken = { file: "/dev/null", fileSystem: "squashfs" as const };
    const image = { id: "x", reference: "x", minimumMemoryBytes: 0, defaultMemoryBytes: 64 << 20 };
    const error = await failureOf(
      guests.boot("no-root", { image: { ...image, ...broken }, memoryBytes: 64 << 20 }),
    );
    expect(error.code).to.equal("GUEST_BOOT");
    expect(error.message).to.include("the image could not be mounted");
  });

  it("by a panic is over, and its console says why", async () => {
    await using guest = await guests.boot("panics");
    const process = guest.exec({ command: ["sh", "-c", "echo c > /proc/sysrq-trigger; sleep 9"] });
    const error = await failureOf(process.exit);
    expect(error.code).to.equal("GUEST_FAILED");
    const { consoleTail } = await guest.exited;
    expect(readFileSync(guest.consolePath, "utf8")).to.match(/Kernel panic|sysrq triggered crash/);
    expect(consoleTail).not.to.equal("");
  });

  it("by a panic in its setup shows the end of the console", async () => {
    const run = ["echo c > /proc/sysrq-trigger; sleep 9"];
    const error = await failureOf(guests.boot("panics-early", { setup: { run } }));
    expect(error.code).to.equal("GUEST_BOOT");
    expect(error.message).to.match(/: its kernel ended .*\nthe end of its console:\n./);
  });

  it("by time is ended", async () => {
    const error = await failureOf(
      guests.boot("slow", { setup: { run: ["sleep 1000"] } }, { timeoutMs: 1500 }),
    );
    expect(error.code).to.equal("GUEST_BOOT");
    expect(error.message).to.include("no end of its setup within 1500 ms");
  });

  it("by an interrupt is ended", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const error = await failureOf(
      guests.boot(
        "interrupted",
        { setup: { run: ["sleep 1000"] } },
        {
          signal: controller.signal,
          onPhase: (phase) => phase === "setup" && controller.abort(reason),
        },
      ),
    );
    expect(error).to.equal(reason);
  });
});
