/**
 * Fetching for real, from the archives that this machine's apt knows: into empty caches, as the
 * user who runs the tests and as one without rights, two at once, interrupted, offline.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { LabError } from "../../base/errors.ts";
import type { Image, Kernel } from "../../kernel/guest/spec.ts";
import { probeKernel } from "../../kernel/kernel-manifest.ts";
import { downloadPackages, findProgram, haveApt } from "../../kernel/packages/apt.ts";
import { hostArchive } from "../../kernel/packages/archives.ts";

const CHILD = fileURLToPath(new URL("./fetch-child.js", import.meta.url));
const NOBODY = 65534;

interface Outcome {
  readonly made?: readonly unknown[];
  readonly failed?: { readonly code: string; readonly hint: string; readonly message: string };
  readonly steps: readonly string[];
}

interface Run {
  readonly child: ChildProcess;
  /** Resolves at the first step that matches. */
  step(pattern: RegExp): Promise<void>;
  readonly outcome: Promise<Outcome>;
}

function start(
  things: readonly string[],
  { cache, env = {}, uid }: { cache: string; env?: NodeJS.ProcessEnv; uid?: number },
): Run {
  const child = spawn(process.execPath, [CHILD, ...things], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, UML_LAB_CACHE: cache, UML_LAB_KERNEL: "", ...env },
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const steps: string[] = [];
  const waiting: { pattern: RegExp; resolve: () => void }[] = [];
  let last = "{}";
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
    if (!line.startsWith("progress ")) {
      last = line;
      return;
    }
    steps.push(line.slice("progress ".length));
    for (const { pattern, resolve } of waiting) if (pattern.test(line)) resolve();
  });
  return {
    child,
    step: (pattern) => new Promise((resolve) => waiting.push({ pattern, resolve })),
    outcome: new Promise((resolve) => {
      child.once("close", () => resolve({ ...(JSON.parse(last) as object), steps }));
    }),
  };
}

/** Processes that work in a folder or name it. */
function processesOf(folder: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
        return command.includes(folder) || environment.includes(folder) ? [command] : [];
      } catch {
        return [];
      }
    });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

const partsIn = (cache: string): string[] =>
  ["kernels", "images", "tools"]
    .flatMap((room) => (existsSync(join(cache, room)) ? readdirSync(join(cache, room)) : []))
    .filter((name) => name.startsWith("."));

describe("fetching from Debian packages", function () {
  this.timeout(600_000);
  let scratch: string;

  before(function () {
    if (!haveApt()) {
      console.log("    SKIPPED: apt-get and dpkg-deb are not on this machine");
      this.skip();
    }
    scratch = mkdtempSync(join(tmpdir(), "uml-lab-fetch-"));
    chmodSync(scratch, 0o755);
  });

  after(() => {
    if (scratch === undefined) return;
    expect(processesOf(scratch)).to.deep.equal([]);
    rmSync(scratch, { recursive: true, force: true });
  });

  describe("two at once, into an empty cache", () => {
    let cache: string;
    let kernel: Kernel;
    let image: Image;
    let outcomes: Outcome[];

    before(async () => {
      cache = join(scratch, "two");
      const things = ["kernel", "image:base"];
      outcomes = await Promise.all(
        [start(things, { cache }), start(things, { cache })].map(({ outcome }) => outcome),
      );
      expect(outcomes[0]?.failed, outcomes[0]?.failed?.message).to.equal(undefined);
      [kernel, image] = (outcomes[0] as Outcome).made as [Kernel, Image];
    });

    it("gives both the same, fetched once", () => {
      expect(outcomes[0]?.made).to.deep.equal(outcomes[1]?.made);
      const trials = outcomes.flatMap(({ steps }) => steps.filter((s) => s.startsWith("trying")));
      expect(trials).to.have.length(1);
      expect(partsIn(cache)).to.deep.equal([]);
    });

    it("is a kernel that runs and says what it can do", () => {
      expect(kernel.id).to.equal(`debian-${kernel.release}`);
      expect(probeKernel(kernel.executable).release).to.equal(kernel.release);
      expect(existsSync(join(kernel.modules as string, "modules.dep"))).to.equal(true);
      expect(statSync(kernel.modulesImage as string).size).to.be.greaterThan(1e6);
    });

    it("is an image with root's files and the programs of a network guest", function () {
      const unsquashfs =
        findProgram("unsquashfs") ??
        readdirSync(join(cache, "tools"))
          .map((name) => join(cache, "tools", name, "bin", "unsquashfs"))
          .find((path) => existsSync(path));
      if (unsquashfs === undefined) {
        console.log("      SKIPPED: no unsquashfs");
        return this.skip();
      }
      const list = execFileSync(unsquashfs, ["-lln", image.file], { encoding: "utf8" }).split("\n");
      const files = list.filter((line) => /^[-dlcbps][-rwxsStT]{9} /.test(line));
      expect(files.filter((line) => !/^\S+ 0\/0 /.test(line))).to.deep.equal([]);
      const paths = new Set(
        files.map((line) => line.replace(/^.*squashfs-root/, "").split(" ")[0]),
      );
      for (const path of ["/dev", "/proc", "/sys", "/run", "/tmp", "/etc/passwd", "/var/run"]) {
        expect([...paths]).to.include(path);
      }
      for (const program of [
        "sh",
        "bash",
        "ping",
        "fping",
        "tcpdump",
        "traceroute",
        "awk",
        "wget",
      ]) {
        expect([...paths]).to.include(`/usr/bin/${program}`);
      }
      for (const program of ["ip", "tc", "bridge", "nft", "iptables", "dropbear", "modprobe"]) {
        expect(
          [...paths].some((path) => path?.endsWith(`bin/${program}`)),
          program,
        ).to.equal(true);
      }
    });

    it("fetches nothing the second time, and needs no apt", async () => {
      const bin = join(scratch, "bin");
      const called = join(scratch, "called");
      mkdirSync(bin, { recursive: true });
      for (const name of ["apt-get", "apt-config", "dpkg-deb", "mksquashfs", "patchelf"]) {
        writeFileSync(join(bin, name), `#!/bin/sh\necho "$0" >> ${called}\nexit 1\n`, {
          mode: 0o755,
        });
      }
      const again = await start(["kernel", "image:base"], {
        cache,
        env: { PATH: `${bin}:${process.env.PATH}` },
      }).outcome;
      expect(again.made).to.deep.equal(outcomes[0]?.made);
      expect(again.steps).to.deep.equal([]);
      expect(existsSync(called)).to.equal(false);
      const bare = await start(["kernel", "image:base"], { cache, env: { PATH: "/nowhere" } })
        .outcome;
      expect(bare.made).to.deep.equal(outcomes[0]?.made);
    });

    it("makes the same bytes again", async () => {
      const other = join(scratch, "again");
      const { made, failed } = await start(["image:base"], { cache: other }).outcome;
      expect(failed).to.equal(undefined);
      const [second] = made as [Image];
      expect(second.id).to.equal(image.id);
      expect(readFileSync(second.file).equals(readFileSync(image.file))).to.equal(true);
    });
  });

  for (const [signal, moment] of [
    ["SIGTERM", /fetching user-mode-linux/],
    ["SIGKILL", /fetching user-mode-linux/],
    ["SIGKILL", /unpacking the kernel/],
    ["SIGTERM", /reading the package lists/],
  ] as const) {
    it(`leaves nothing half-made after ${signal} while ${moment.source}, and goes on`, async () => {
      const cache = join(scratch, `cut-${signal}-${moment.source.length}`);
      const first = start(["kernel"], { cache });
      await first.step(moment);
      first.child.kill(signal);
      const { failed } = await first.outcome;
      await until(() => processesOf(cache).length === 0);
      expect(existsSync(join(cache, "kernels"))).to.equal(true);
      const published = readdirSync(join(cache, "kernels")).filter((name) => !name.startsWith("."));
      expect(published).to.deep.equal([]);
      if (signal === "SIGTERM") {
        expect(failed?.code).to.equal("INTERRUPTED");
        expect(partsIn(cache)).to.deep.equal([]);
      }
      const second = await start(["kernel"], { cache }).outcome;
      expect(second.failed, second.failed?.message).to.equal(undefined);
      expect(partsIn(cache)).to.deep.equal([]);
    });
  }

  it("works for a user without rights", async function () {
    if (process.getuid?.() !== 0) return this.skip(); // then the other tests are that
    try {
      for (let at = dirname(CHILD); at !== "/"; at = dirname(at)) {
        if ((statSync(at).mode & 0o005) !== 0o005) throw new Error(`${at} is closed`);
      }
    } catch (error) {
      console.log(`      SKIPPED: others can't read this checkout (${(error as Error).message})`);
      return this.skip();
    }
    const cache = join(scratch, "nobody");
    mkdirSync(cache);
    execFileSync("chown", [`${NOBODY}:${NOBODY}`, cache]);
    const { failed, made } = await start(["kernel", "image:base", "tool:patchelf"], {
      cache,
      uid: NOBODY,
      env: { HOME: cache },
    }).outcome;
    expect(failed, failed?.message).to.equal(undefined);
    const [kernel, image] = made as [Kernel, Image];
    expect(statSync(kernel.executable).uid).to.equal(NOBODY);
    expect(statSync(image.file).uid).to.equal(NOBODY);
    const again = await start(["kernel", "image:base"], {
      cache,
      uid: NOBODY,
      env: { HOME: cache },
    }).outcome;
    expect(again.steps).to.deep.equal([]);
  });

  it("fetches a program that is installed where nobody finds it", async function () {
    // patch: part of every Debian on which packages are built, and needed by nothing here
    const installed = findProgram("patch");
    if (installed === undefined) {
      console.warn("      patch is not installed here: nothing to hide");
      this.skip();
    }
    const path = join(scratch, "path");
    mkdirSync(path);
    const linked = new Set(["patch"]);
    for (const folder of (process.env.PATH ?? "").split(":").filter(existsSync)) {
      for (const name of readdirSync(folder)) {
        if (!linked.has(name)) symlinkSync(join(folder, name), join(path, name));
        linked.add(name);
      }
    }
    const { made, failed } = await start(["tool:patch"], {
      cache: join(scratch, "hidden"),
      env: { PATH: path },
    }).outcome;
    expect(failed).to.equal(undefined);
    const version = execFileSync(made?.[0] as string, ["--version"], { encoding: "utf8" });
    expect(version).to.match(/^GNU patch/);
  });

  it("says what to do where there is no apt", async () => {
    const cache = join(scratch, "empty");
    const env = { PATH: "/nowhere", DOCKER_HOST: "unix:///nowhere/docker.sock" };
    for (const thing of ["kernel", "image:base", "tool:mksquashfs"]) {
      const { failed } = await start([thing], { cache, env }).outcome;
      expect(failed?.code, thing).to.equal("NO_APT");
      expect(failed?.hint).to.include("UML_LAB_KERNEL").and.to.include("Docker");
    }
    expect(partsIn(cache)).to.deep.equal([]);
  });

  it("refuses lists that are not signed by the key their source names", async () => {
    const key = join(scratch, "other.gpg");
    writeFileSync(key, "");
    const before = process.env.UML_LAB_CACHE;
    process.env.UML_LAB_CACHE = join(scratch, "unsigned");
    try {
      const own = hostArchive();
      const archive = {
        name: "unsigned",
        sources: own.sources.map((source) => ({ ...source, signedBy: key })),
      };
      const request = { packages: ["netbase"], into: scratch, closure: undefined };
      await downloadPackages(archive, request, {}).then(
        () => expect.fail("it was accepted"),
        (error: LabError) => {
          expect(error.code).to.equal("FETCH_FAILED");
          expect(error.message).to.match(/sign|GPG|key/i);
        },
      );
      expect(readdirSync(scratch).filter((name) => name.endsWith(".deb"))).to.deep.equal([]);
    } finally {
      if (before === undefined) delete process.env.UML_LAB_CACHE;
      else process.env.UML_LAB_CACHE = before;
    }
  });

  it("refuses images that can't be made", async () => {
    const cache = join(scratch, "empty");
    const codeOf = async (thing: string) => (await start([thing], { cache }).outcome).failed?.code;
    expect(await codeOf("image:dir:/nowhere/at/all")).to.equal("NO_IMAGE");
    expect(await codeOf("image:file:/etc/hostname")).to.equal("NO_IMAGE");
    expect(await codeOf("image:bsae")).to.equal("NO_IMAGE");
  });
});
