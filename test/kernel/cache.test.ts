import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { LabError } from "../../base/errors.ts";
import { ensurePublished, listRoom, lookUp } from "../../kernel/cache/cache.ts";
import { acquireLock } from "../../kernel/cache/lock.ts";

describe("the cache", () => {
  let folder: string;
  const before = process.env.UML_LAB_CACHE;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "uml-lab-cache-"));
    process.env.UML_LAB_CACHE = folder;
  });

  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
    if (before === undefined) delete process.env.UML_LAB_CACHE;
    else process.env.UML_LAB_CACHE = before;
  });

  const options = { purpose: "testing" };
  const rooms = () => readdirSync(join(folder, "tools"));

  it("publishes a folder with its manifest, once", async () => {
    let builds = 0;
    const build = async (builder: { folder: string; scratch: string }) => {
      builds++;
      writeFileSync(join(builder.folder, "tool"), "x");
      writeFileSync(join(builder.scratch, "rubbish"), "x");
      return { version: 7 };
    };
    const first = await ensurePublished("tools", "a-1", options, build);
    const second = await ensurePublished("tools", "a-1", options, build);
    expect(first).to.deep.equal(second);
    expect(first.manifest).to.deep.equal({ version: 7 });
    expect(existsSync(join(first.folder, "tool"))).to.equal(true);
    expect(builds).to.equal(1);
    expect(rooms()).to.deep.equal(["a-1"]);
    expect(listRoom("tools")).to.deep.equal([first]);
  });

  it("builds once for two who ask at the same time", async () => {
    let builds = 0;
    const ask = () =>
      ensurePublished("tools", "a-1", options, async () => {
        builds++;
        await new Promise((resolve) => setImmediate(resolve));
        return {};
      });
    const [first, second] = await Promise.all([ask(), ask()]);
    expect(builds).to.equal(1);
    expect(first.folder).to.equal(second.folder);
  });

  it("leaves nothing of a build that failed", async () => {
    const failing = ensurePublished("tools", "a-1", options, async (builder) => {
      writeFileSync(join(builder.folder, "half"), "x");
      throw new Error("no luck");
    });
    await failing.then(
      () => expect.fail("it went well"),
      (error: Error) => expect(error.message).to.equal("no luck"),
    );
    expect(rooms()).to.deep.equal([]);
    expect(lookUp("tools", "a-1")).to.equal(undefined);
  });

  it("removes what a killed builder left, and doesn't show it", async () => {
    mkdirSync(join(folder, "tools", ".a-1.part", "new"), { recursive: true });
    writeFileSync(join(folder, "tools", ".a-1.part", "new", "half"), "x");
    expect(listRoom("tools")).to.deep.equal([]);
    await ensurePublished("tools", "a-1", options, async (builder) => {
      expect(readdirSync(builder.folder)).to.deep.equal([]);
      return {};
    });
    expect(rooms()).to.deep.equal(["a-1"]);
  });

  it("replaces a published folder only when asked to", async () => {
    const build = (version: number) => async () => ({ version });
    await ensurePublished("tools", "a-1", options, build(1));
    const same = await ensurePublished("tools", "a-1", options, build(2));
    expect(same.manifest.version).to.equal(1);
    const fresh = await ensurePublished("tools", "a-1", { ...options, replace: true }, build(2));
    expect(fresh.manifest.version).to.equal(2);
    expect(rooms()).to.deep.equal(["a-1"]);
  });

  it("is INTERRUPTED when the signal aborts, and says NO_SPACE on a full disk", async () => {
    const controller = new AbortController();
    const codeOf = (attempt: Promise<unknown>) =>
      attempt.then(
        () => "none",
        (error: LabError) => error.code,
      );
    const interrupted = ensurePublished(
      "tools",
      "a-1",
      { ...options, signal: controller.signal },
      async () => {
        controller.abort();
        return {};
      },
    );
    expect(await codeOf(interrupted)).to.equal("INTERRUPTED");
    const full = ensurePublished("tools", "a-2", options, () =>
      Promise.reject(Object.assign(new Error("write"), { code: "ENOSPC" })),
    );
    expect(await codeOf(full)).to.equal("NO_SPACE");
    expect(rooms()).to.deep.equal([]);
  });
});

describe("a lock", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "uml-lab-lock-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Another process that holds the lock until it is killed. */
  async function otherHolder(path: string): Promise<ChildProcess> {
    const module = fileURLToPath(new URL("../../kernel/cache/lock.js", import.meta.url));
    const script =
      `const { acquireLock } = await import(${JSON.stringify(module)});` +
      `const lock = await acquireLock(${JSON.stringify(path)}, { purpose: "sleeping" });` +
      `console.log("held"); setInterval(() => lock, 1000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout as NodeJS.ReadableStream, "data");
    return child;
  }

  it("is exclusive, and free when disposed", async () => {
    const path = join(folder, "x");
    const first = await acquireLock(path, { purpose: "one" });
    let got = false;
    const second = acquireLock(path, { purpose: "two" }).then((lock) => {
      got = true;
      return lock;
    });
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(got).to.equal(false);
    first[Symbol.dispose]();
    (await second)[Symbol.dispose]();
    first[Symbol.dispose](); // twice is harmless
  });

  it("tells who holds it, and ends with its holder", async () => {
    const path = join(folder, "x");
    const child = await otherHolder(path);
    const holder = await new Promise<string>((resolve) => {
      const waiting = acquireLock(path, {
        purpose: "waiting",
        onWait: (who) => {
          resolve(who);
          child.kill("SIGKILL");
        },
      });
      void waiting.then((lock) => lock[Symbol.dispose]());
    });
    expect(holder).to.equal(`process ${child.pid} (sleeping)`);
    (await acquireLock(path, { purpose: "after" }))[Symbol.dispose]();
  });

  it("is not waited for when the signal aborts", async () => {
    const path = join(folder, "x");
    using _first = await acquireLock(path, { purpose: "one" });
    const controller = new AbortController();
    const second = acquireLock(path, { purpose: "two", signal: controller.signal });
    controller.abort();
    await second.then(
      () => expect.fail("it got the lock"),
      (error: Error) => expect(error.name).to.equal("AbortError"),
    );
  });
});
