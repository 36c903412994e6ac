import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import { ensureProgram } from "../../kernel/agent/build.ts";
import { type SandboxLevel, sandboxWorks } from "../../kernel/guest/sandbox.ts";
import { ensureTool } from "../../kernel/tools.ts";
import { Guests, livingOf, recordsOf, shell } from "./guests.ts";
import { NOBODY, nobodysCache } from "./nobody.ts";

const HOLD_GUEST = join(packageRoot, "dist/test/e2e/fixtures/hold-guest.js");

interface Held {
  readonly child: ChildProcess;
  readonly record: { readonly pid: number; readonly startTime: string };
  readonly result: { readonly stdout: string };
}

async function holdGuest(
  folder: string,
  command: readonly string[],
  options: { sandbox?: SandboxLevel; uid?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Held> {
  const { uid } = options;
  const child = spawn(
    process.execPath,
    [HOLD_GUEST, JSON.stringify({ folder, sandbox: options.sandbox, command })],
    {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...options.env },
      ...(uid === undefined ? {} : { uid, gid: uid }),
    },
  );
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), "line"),
    once(child, "exit").then(([code]) => expect.fail(`it ended with status ${code}`)),
  ]);
  return { child, ...JSON.parse(line as string) };
}

for (const sandbox of ["namespaces", "landlock"] as const) {
  describe(`the sandbox by ${sandbox}`, () => {
    const guests = new Guests();
    before(async function () {
      if (!(await sandboxWorks(sandbox, await ensureProgram("launcher")))) this.skip();
    });
    after(() => guests.check());

    it("shows a guest no file of the host that it was not given", async () => {
      await using guest = await guests.boot("curious", {}, { sandbox });
      const look = (folder: string) =>
        shell(
          guest,
          `mkdir -p /mnt && mount -t hostfs -o ${folder} none /mnt && ` +
            "{ cat /mnt/passwd /mnt/etc/passwd /mnt/shadow /mnt/etc/shadow; ls -A /mnt /mnt/etc " +
            "/mnt/home /mnt/root /mnt/usr/bin /mnt/proc; umount /mnt; }",
        );
      for (const folder of ["/", "../../../../etc", "/etc", "/root", "/proc/1/root"]) {
        const { stdout } = await look(folder);
        expect(stdout, folder).not.to.match(/root:x|root:\*|hostname|bash$|cpuinfo/m);
      }
    });

    it("survives a reboot that the guest asks for", async () => {
      await using guest = await guests.boot("again", {}, { sandbox });
      await shell(guest, "echo gone > /etc/mark");
      await shell(guest, "reboot; sleep 1000").catch(() => {});
      expect((await shell(guest, "ls /etc/mark")).code).not.to.equal(0);
    });

    it("leaves nothing when the supervisor is killed", async () => {
      const folder = join(guests.folder, "held");
      mkdirSync(folder);
      const held = await holdGuest(folder, ["true"], { sandbox });
      const records = recordsOf(held.record);
      expect(records.length).to.be.greaterThan(1);
      held.child.kill("SIGKILL");
      expect(await livingOf(records)).to.deep.equal([]);
      rmSync(folder, { recursive: true });
    });

    it("leaves nothing when the kernel is killed", async () => {
      await using guest = await guests.boot("shot", {}, { sandbox });
      const records = recordsOf(guest.process);
      const kernel = records.find(
        ({ pid }) => recordsOf({ pid, startTime: "" }).length === 0 && pid !== guest.process.pid,
      );
      process.kill(kernel?.pid as number, "SIGKILL");
      await guest[Symbol.asyncDispose]();
      expect(await livingOf(records)).to.deep.equal([]);
    });

    it("works for a user without rights, and strictly", async function () {
      if (process.getuid?.() !== 0) return this.skip(); // then every test is one
      const home = mkdtempSync(join(tmpdir(), "uml-e2e-user-"));
      try {
        chmodSync(home, 0o755);
        const folder = join(home, "guest");
        mkdirSync(folder);
        chownSync(folder, NOBODY, NOBODY);
        const env = { UML_LAB_CACHE: nobodysCache(), HOME: home };
        const held = await holdGuest(folder, ["hostname"], { sandbox, uid: NOBODY, env });
        const records = recordsOf(held.record);
        expect(held.result.stdout).to.equal("held\n");
        held.child.stdin?.end();
        await once(held.child, "exit");
        expect(await livingOf(records)).to.deep.equal([]);
      } finally {
        rmSync(home, { recursive: true });
      }
    });

    it("boots with ptrace where strict isolation is asked for", async () => {
      await using guest = await guests.boot("strict", { isolation: "strict" }, { sandbox });
      expect((await shell(guest, "echo $((6*7))")).stdout).to.equal("42\n");
    });
  });
}

describe("the programs in C", () => {
  const guests = new Guests();
  after(() => guests.check());

  it("compile with tcc, and a guest lives with them", async () => {
    const compiler = { path: await ensureTool("tcc"), kind: "tcc" as const };
    const programs = {
      agent: await ensureProgram("agent", { compiler }),
      launcher: await ensureProgram("launcher", { compiler }),
    };
    await using guest = await guests.boot("small", {}, { programs });
    const bytes = Buffer.alloc(2_000_000, "uml");
    const { stdout } = await guest.run({ command: ["md5sum"] }, { input: bytes });
    expect(stdout).to.match(/^[0-9a-f]{32} /);
    await guest.writeFile("/tmp/x", bytes);
    expect(Buffer.compare(await guest.readFile("/tmp/x"), bytes)).to.equal(0);
  });
});
