/** `kernel build`: what it makes of the sources, and that the same inputs give the same kernel. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { LabError } from "../../base/errors.ts";
import { cacheFolder } from "../../base/folders.ts";
import { packageRoot } from "../../base/package-root.ts";
import {
  buildKernel,
  type ConfiguredSource,
  configureKernel,
  findBuilt,
  type LeanManifest,
} from "../../kernel/build/build-kernel.ts";
import { ourPatches } from "../../kernel/build/patches.ts";
import { openToolchain } from "../../kernel/build/toolchain.ts";
import type { Kernel } from "../../kernel/guest/spec.ts";
import { configOf, ensureKernel, listKernels } from "../../kernel/kernels.ts";
import { House } from "./house.ts";

const run = promisify(execFile);
const LEAN = readFileSync(join(packageRoot, "kernel/build/lean.config"), "utf8");

/** Options that lean.config has for other releases, and what 7.3 has in their place. */
const OTHERWISE: Readonly<Record<string, string>> = {
  "CONFIG_PREEMPT_NONE=y": "CONFIG_PREEMPT_VOLUNTARY=y",
  "CONFIG_PROC_SYSCTL=y": "CONFIG_SYSCTL=y",
};

/** Caches of a test's own, which have of the usual one what costs time to fetch. */
class Caches implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "uml-kernel-"));
  readonly #usual = cacheFolder();
  readonly #before = process.env.UML_LAB_CACHE;

  /** Is the cache from now on; answers its folder. */
  use(name: string): string {
    const folder = join(this.folder, name);
    mkdirSync(join(folder, "kernels"), { recursive: true });
    for (const room of ["images", "initramfs", "packages", "programs", "tools"]) {
      mkdirSync(join(this.#usual, room), { recursive: true });
      symlinkSync(join(this.#usual, room), join(folder, room));
    }
    process.env.UML_LAB_CACHE = folder;
    return folder;
  }

  [Symbol.dispose](): void {
    if (this.#before === undefined) delete process.env.UML_LAB_CACHE;
    else process.env.UML_LAB_CACHE = this.#before;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Skips where nothing compiles here. */
async function needCompiler(context: Mocha.Context): Promise<void> {
  try {
    await using _ = await openToolchain([], {});
  } catch (error) {
    if (!(error instanceof LabError && ["NO_TOOL", "NO_APT"].includes(error.code))) throw error;
    console.warn(`    SKIPPED: no kernel can be built here: ${error.message}`);
    context.skip();
  }
}

const manifestOf = ({ executable }: Kernel): LeanManifest =>
  JSON.parse(readFileSync(join(dirname(executable), "manifest.json"), "utf8"));

describe("kernel build, up to the configuration", function () {
  this.timeout(1_800_000);
  let caches: Caches;
  let configured: ConfiguredSource;

  before(async function () {
    await needCompiler(this);
    caches = new Caches();
    caches.use("cache");
    configured = await configureKernel();
  });
  after(() => caches?.[Symbol.dispose]());

  it("has our patches in the sources", () => {
    const patches = ourPatches();
    expect(configured.patches).to.deep.equal(patches.map(({ name }) => name));
    let lines = 0;
    for (const { name, text } of patches) {
      for (const part of text.split(/^--- .*\n/m).slice(1)) {
        const file = /^\+\+\+ b\/(\S+)/.exec(part)?.[1] as string;
        const content = readFileSync(join(configured.tree, file), "utf8").split("\n");
        for (const [, line] of part.matchAll(/^\+(?!\+\+ )(.+)$/gm)) {
          expect(content, `${name}: ${file}`).to.include(line);
          lines++;
        }
      }
    }
    expect(lines).to.be.greaterThan(50);
  });

  it("has each option as lean.config asks for it", () => {
    const asked = LEAN.split("\n").filter((line) =>
      /^CONFIG_|^# CONFIG_\w+ is not set$/.test(line),
    );
    expect(asked.length).to.be.greaterThan(200);
    const lines = new Set(configured.config.split("\n"));
    const holds = (line: string) => {
      // what is off may be left out: nothing that is on asks for it
      const off = /^# (CONFIG_\w+) is not set$/.exec(line)?.[1];
      return off === undefined ? lines.has(line) : !configured.config.includes(`\n${off}=`);
    };
    expect(asked.filter((line) => !holds(OTHERWISE[line] ?? line))).to.deep.equal([]);
    expect(Object.keys(OTHERWISE).filter(holds), "asked for in vain no more").to.deep.equal([]);
  });

  it("asks for debugging information and trace events on top, and nothing else", async () => {
    const { config } = await configureKernel({ source: configured.tree, debug: true });
    const on = (text: string) => text.split("\n").filter((line) => /^CONFIG_\w+=/.test(line));
    const lean = new Set(on(configured.config));
    const more = on(config).filter((line) => !lean.has(line));
    expect(more).to.include.members([
      "CONFIG_DEBUG_INFO=y",
      "CONFIG_GDB_SCRIPTS=y",
      "CONFIG_EVENT_TRACING=y",
    ]);
    const wanted =
      /^CONFIG_(DEBUG_INFO|GDB_SCRIPTS|FTRACE=|ENABLE_DEFAULT_TRACERS|TRAC(EPOINTS|ING|E_CLOCK)=|EVENT_TRACING|NOP_TRACER|RING_BUFFER=|CONTEXT_SWITCH_TRACER|GLOB=|BRANCH_PROFILE_NONE)/;
    expect(more.filter((line) => !wanted.test(line))).to.deep.equal([]);
    const debug = new Set(on(config));
    expect([...lean].filter((line) => !debug.has(line))).to.deep.equal([
      "CONFIG_DEBUG_INFO_NONE=y",
    ]);
  });

  it("fails before it compiles where a source has no longer what guests need", async () => {
    const tree = join(caches.folder, "without");
    await run("cp", ["-a", "--link", configured.tree, tree]);
    const kconfig = join(tree, "arch/um/drivers/Kconfig");
    const text = readFileSync(kconfig, "utf8");
    const renamed = text.replace(/^config VIRTIO_UML$/m, "config VIRTIO_OTHER");
    expect(renamed).not.to.equal(text);
    rmSync(kconfig); // which both trees share
    writeFileSync(kconfig, renamed);
    const told: string[] = [];
    const onProgress = ({ what }: { what: string }) => told.push(what);
    const error = await buildKernel({ source: tree, onProgress }).then(
      () => expect.fail("it was built"),
      (thrown: LabError) => thrown,
    );
    expect(error.code).to.equal("BUILD_FAILED");
    expect(error.message).to.equal("this source can't have VIRTIO_UML built in");
    expect(told).to.include("configuring the kernel").and.not.to.include("compiling the kernel");
    expect(await listKernels()).to.deep.equal([]);
  });
});

describe("a kernel that was built", function () {
  this.timeout(600_000);
  const override = process.env.UML_LAB_KERNEL;
  let built: Kernel;
  let house: House;

  before(async function () {
    const found = await findBuilt();
    if (found === undefined) {
      console.warn("    SKIPPED: the cache has no lean kernel of these sources: kernel build");
      return this.skip();
    }
    built = found;
    house = new House();
    delete process.env.UML_LAB_KERNEL; // it goes before what is in the cache
  });
  after(async () => {
    if (override !== undefined) process.env.UML_LAB_KERNEL = override;
    await house?.check();
  });

  it("is listed with what it is made of", async () => {
    const { kernels } = await house.json(0, "kernel", "list");
    const { release, madeFrom } = kernels.find(({ id }: Kernel) => id === built.id);
    expect(release).to.match(/^7\.3\.\d+-lean$/);
    expect(madeFrom[0]).to.match(/^linux-source-7\.3 7\.3\.\S+ \(\S+\)$/);
    expect(madeFrom[1]).to.match(/^lean\.config\b/);
    expect(madeFrom.slice(2)).to.deep.equal(ourPatches().map(({ name }) => name));
  });

  it("is what `up` takes, though Debian's is there too; two-lans is as it expects", async () => {
    const debian = await ensureKernel("debian");
    using caches = new Caches();
    const kernels = join(caches.use("cache"), "kernels");
    for (const { executable } of [debian, built]) {
      const folder = dirname(executable);
      symlinkSync(folder, join(kernels, basename(folder)));
    }
    const listed = await house.json(0, "kernel", "list");
    expect(listed.kernels.map(({ id }: Kernel) => id)).to.have.members([debian.id, built.id]);
    const report = await house.json(0, "up", join(packageRoot, "topologies", "two-lans.yaml"));
    expect(report.verdict).to.equal("pass");
    for (const guest of ["alice", "r1", "bob"]) {
      expect(await house.sh(guest, "uname -r")).to.equal(`${built.release}\n`);
    }
    await house.json(0, "down");
  });
});

/** Heavy: the better part of an hour of two processors, and gigabytes. */
describe("a kernel that is built twice from nothing", function () {
  this.timeout(6 * 3_600_000);
  let caches: Caches | undefined;

  before(async function () {
    if (!process.env.UML_LAB_NIGHTLY) {
      console.log("    SKIPPED: it takes the better part of an hour; UML_LAB_NIGHTLY=1 does it");
      this.skip();
    }
    await needCompiler(this);
  });
  after(() => caches?.[Symbol.dispose]());

  it("is the same bytes, whatever its folder is called", async () => {
    const before_ = await findBuilt();
    caches = new Caches();
    const binaries: Buffer[] = [];
    const sources: string[] = [];
    for (const name of ["one", "another/which-is-longer"]) {
      const folder = caches.use(name);
      const kernel = await buildKernel();
      expect(kernel.executable.startsWith(`${folder}/`)).to.equal(true);
      expect(manifestOf(kernel).features.tickless).to.equal(true);
      binaries.push(await readFile(kernel.executable));
      sources.push(sourcesOf(kernel));
    }
    expect(sources[1]).to.equal(sources[0]);
    expect(binaries[1]?.equals(binaries[0] as Buffer)).to.equal(true);
    if (before_ === undefined || sourcesOf(before_) !== sources[0]) return;
    expect((await readFile(before_.executable)).equals(binaries[0] as Buffer)).to.equal(true);
  });

  /**
   * A newer compiler, or a newer package of the same release, makes other bytes; and so does a tool that
   * the configuration asks for its version.
   */
  const sourcesOf = (kernel: Kernel): string => {
    const { compiler, madeFrom } = manifestOf(kernel);
    return `${compiler} ${madeFrom[0]}\n${configOf(kernel)}`;
  };
});
