/**
 * Builds the lean kernel: the configuration in `lean.config`, our `patches/`, the sources of a
 * Debian package or of the user's choice, the machine's compiler. No root.
 *
 *     CACHE/builds/KEY/{packages/,source/,out/}   while it is being built; an interrupted build goes on
 *     CACHE/kernels/lean-7.3.4-1a2b3c/            the result: linux, config.gz, manifest.json,
 *                                                 with `debug` linux.debug and gdb's helpers
 *
 * The same inputs give the same binary: nothing of the machine, the user or the time gets into it.
 */

import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { LabError } from "../../base/errors.ts";
import { cacheFolder } from "../../base/folders.ts";
import { packageRoot } from "../../base/package-root.ts";
import { checkBoot } from "../boot-check.ts";
import {
  ensurePublished,
  hashOf,
  listRoom,
  lockEntry,
  type Published,
  removeTree,
} from "../cache/cache.ts";
import type { Kernel } from "../guest/spec.ts";
import { type KernelManifest, probeKernel } from "../kernel-manifest.ts";
import { toKernel } from "../kernels.ts";
import { runOrFail } from "../packages/child.ts";
import type { EnsureOptions } from "../progress.ts";
import { fragmentFor, notTaken } from "./configuration.ts";
import { countObjects } from "./objects.ts";
import { applyPatches, changesOf, givenBy, ourPatches, type Patch, patchesIn } from "./patches.ts";
import { DEFAULT_SOURCE, identityOf, makeSource, parseSource, type Source } from "./source.ts";
import { openToolchain, type Toolchain } from "./toolchain.ts";

/** A change of how the kernel is made gets a new folder. */
const LAYOUT = 1;

/**
 * The delay loop is not calibrated: no device of a guest waits in loops. Drivers that are built in
 * would put devices of their own into every guest (bond0, dummy0, ifb0, tunl0, sit0 …).
 */
const BOOT_ARGUMENTS = [
  "lpj=40000000",
  "bonding.max_bonds=0",
  "dummy.numdummies=0",
  "ifb.numifbs=0",
  "fb_tunnels=none",
];

/** What the configuration compiles, for the estimate (7.3.4: 1 328); the true number shows at the end. */
const OBJECTS = 1330;

/** Without these no guest boots. */
const NEEDED = ["UML", "VIRTIO_UML", "VIRTIO_NET", "BLK_DEV_UBD", "OVERLAY_FS", "DEVTMPFS", "INET"];

export interface BuildKernelOptions extends EnsureOptions {
  /** A release (`7.3`, `6.12`: Debian's package of it), a folder, or a tarball. */
  readonly source?: string | undefined;
  /** With debugging information, kept beside the stripped kernel. */
  readonly debug?: boolean | undefined;
  /** Processes at once; all processors by default. */
  readonly jobs?: number | undefined;
}

export interface LeanManifest extends KernelManifest {
  /** What it was asked for: same key, same kernel. */
  readonly key: string;
  readonly compiler: string;
  /** Options of our configuration that this source doesn't have. */
  readonly notTaken: readonly string[];
  readonly buildSeconds: number;
}

/**
 * The kernel; built first if these inputs weren't built before. A tree of the user's is built again
 * each time, which costs what has changed.
 * Throws BUILD_FAILED, NO_TOOL, NO_APT, NO_KERNEL, FETCH_FAILED, FILE_UNREADABLE, BAD_VALUE, INTERRUPTED.
 */
export async function buildKernel(options: BuildKernelOptions = {}): Promise<Kernel> {
  const choice = parseSource(options.source ?? DEFAULT_SOURCE);
  const debug = options.debug ?? false;
  const fragment = fragmentFor(
    readFileSync(join(packageRoot, "kernel/build/lean.config"), "utf8"),
    debug,
  );
  const identity = await identityOf(choice);
  const patches = ourPatches();
  const changes = patches.map(changesOf);
  const key = hashOf({ LAYOUT, identity, fragment, changes, BOOT_ARGUMENTS, debug });
  if (choice.kind !== "tree") {
    const built = builtWith(key);
    if (built !== undefined) return toKernel(built);
  }
  const work = join(cacheFolder(), "builds", key);
  mkdirSync(work, { recursive: true });
  const purpose = "building a lean kernel";
  using lock = await lockEntry(`build-${key}`, { ...options, purpose });
  const meanwhile = choice.kind === "tree" ? undefined : builtWith(key);
  if (meanwhile !== undefined) return toKernel(meanwhile);

  const startedAt = performance.now();
  await using toolchain = await openToolchain(
    choice.kind === "package" ? [] : [choice.path],
    options,
  );
  const { patch, place } = toolchain;
  const patching = { patch, place, scratch: work, signal: options.signal };
  const source = await makeSource(choice, work, {
    ...options,
    lockFd: lock.fd,
    place,
    xz: toolchain.xz,
    amend: async (tree) => void (await applyPatches(tree, patches, patching)),
  });
  const applied = await patchesIn(source.tree, patches, patching);
  // inside our own tree, so that paths in the kernel are relative to it
  const out = choice.kind === "tree" ? join(work, "out") : join(source.tree, "out");
  const make = new Make(source.tree, out, toolchain, lock.fd, options);
  await make.configure(fragment);
  await make.build();
  const release = await make.release();
  const published = await ensurePublished<LeanManifest>(
    "kernels",
    idOf(release, debug, key),
    { ...options, purpose, replace: choice.kind === "tree" },
    async ({ folder, scratch }) =>
      await keep({
        make,
        ...{ out, source, patches: applied, folder, scratch },
        ...{ key, debug, toolchain, startedAt, options },
      }),
  );
  // with debugging information, the sources are what a debugger shows
  if (!debug) removeTree(work);
  return toKernel(published);
}

function builtWith(key: string): Published<LeanManifest> | undefined {
  return listRoom<LeanManifest>("kernels").find(({ manifest }) => manifest.key === key);
}

class Make {
  notTaken: readonly string[] = [];
  readonly #tree: string;
  readonly #out: string;
  readonly #toolchain: Toolchain;
  readonly #lockFd: number;
  readonly #options: BuildKernelOptions;

  constructor(
    tree: string,
    out: string,
    toolchain: Toolchain,
    lockFd: number,
    options: BuildKernelOptions,
  ) {
    this.#tree = tree;
    this.#out = out;
    this.#toolchain = toolchain;
    this.#lockFd = lockFd;
    this.#options = options;
  }

  /** Writes `.config` from the fragment, unless that was done already. Throws BUILD_FAILED. */
  async configure(fragment: string): Promise<void> {
    mkdirSync(this.#out, { recursive: true });
    const path = join(this.#out, "lean.config");
    const config = join(this.#out, ".config");
    const same = existsSync(path) && readFileSync(path, "utf8") === fragment;
    if (!same || !existsSync(config)) {
      this.#options.onProgress?.({ what: "configuring the kernel", done: 0, unit: "items" });
      writeFileSync(path, fragment);
      await this.#make(["allnoconfig"], { KCONFIG_ALLCONFIG: path });
    }
    const written = readFileSync(config, "utf8");
    const missing = NEEDED.filter((name) => !written.includes(`\nCONFIG_${name}=y\n`));
    if (missing.length > 0) {
      throw new LabError("BUILD_FAILED", `this source can't have ${missing.join(", ")} built in`);
    }
    this.notTaken = notTaken(fragment, written);
  }

  async build(): Promise<void> {
    const { onProgress, jobs = availableParallelism() } = this.#options;
    const what = "compiling the kernel";
    const there = countObjects(this.#out);
    const startedAt = performance.now();
    let done = there;
    const tell = () => {
      const total = Math.max(OBJECTS, done + 1);
      const each = (performance.now() - startedAt) / (done - there);
      // the first few tell little
      const known = done - there >= 20 ? { leftMs: each * (total - done) } : {};
      onProgress?.({ what, done, total, unit: "items", ...known });
    };
    tell();
    await this.#make([`-j${jobs}`, "linux"], {}, (line) => {
      // `  CC      net/ipv4/route.o`
      if (!/^ {2}(?:HOST)?(?:CC|AS) /.test(line)) return;
      done++;
      tell();
    });
  }

  async release(): Promise<string> {
    const { stdout } = await this.#make(["-s", "kernelrelease"]);
    return stdout.trim().split("\n").at(-1) ?? "";
  }

  async #make(
    words: readonly string[],
    env: NodeJS.ProcessEnv = {},
    onLine?: (line: string) => void,
  ) {
    const { make, env: base, place } = this.#toolchain;
    const command = [make, "-C", this.#tree, "ARCH=um", `O=${this.#out}`, ...words];
    const result = await place.run(command, {
      env: { ...base, ...env },
      signal: this.#options.signal,
      lockFd: this.#lockFd,
      ...(onLine === undefined ? {} : { onLine }),
    });
    if (result.code !== 0) {
      const lines = result.stderr.split("\n").filter((line) => line.trim() !== "");
      const first = lines.findIndex((line) => /error|not clean|No space/i.test(line));
      const said = first < 0 ? lines.slice(-8) : lines.slice(first, first + 8);
      throw new LabError(
        /No space left/.test(result.stderr) ? "NO_SPACE" : "BUILD_FAILED",
        `make ${words.at(-1)} ended with ${result.code}\n  ${said.join("\n  ")}`,
      );
    }
    return result;
  }
}

interface Finished {
  readonly make: Make;
  readonly out: string;
  readonly source: Source;
  readonly patches: readonly Patch[];
  readonly folder: string;
  readonly scratch: string;
  readonly key: string;
  readonly debug: boolean;
  readonly toolchain: Toolchain;
  readonly startedAt: number;
  readonly options: BuildKernelOptions;
}

/** Puts what is worth keeping into `folder`, after it has shown that it boots. */
async function keep(finished: Finished): Promise<LeanManifest> {
  const { make, out, source, folder, scratch, key, debug, toolchain, options } = finished;
  const { signal } = options;
  const executable = join(folder, "linux");
  copyFileSync(join(out, "linux"), executable);
  const tool = (command: string[]) =>
    runOrFail(command, "stripping the kernel", {
      place: toolchain.place,
      env: toolchain.env,
      signal,
    });
  if (debug) {
    const symbols = `${executable}.debug`;
    await tool(["objcopy", "--only-keep-debug", executable, symbols]);
    await tool(["strip", "--strip-all", executable]);
    await tool(["objcopy", `--add-gnu-debuglink=${symbols}`, executable]);
    if (existsSync(join(out, "vmlinux-gdb.py"))) {
      cpSync(join(out, "scripts/gdb"), join(folder, "gdb/scripts/gdb"), {
        recursive: true,
        dereference: true,
      });
      copyFileSync(join(out, "vmlinux-gdb.py"), join(folder, "gdb/vmlinux-gdb.py"));
    }
  } else {
    await tool(["strip", "--strip-all", executable]);
  }
  writeFileSync(join(folder, "config.gz"), gzipSync(readFileSync(join(out, ".config"))));
  const probed = probeKernel(executable);
  options.onProgress?.({ what: `trying Linux ${probed.release}`, done: 0, unit: "items" });
  const features = await checkBoot({
    executable,
    bootArguments: BOOT_ARGUMENTS,
    features: probed.features,
    scratch,
    signal,
  });
  const buildSeconds = Math.round((performance.now() - finished.startedAt) / 1000);
  return {
    id: idOf(probed.release, debug, key),
    kind: "lean",
    release: probed.release,
    executable: "linux",
    modules: null,
    modulesImage: null,
    bootArguments: BOOT_ARGUMENTS,
    features: { ...features, tickless: givenBy(finished.patches).has("tickless") },
    madeFrom: [
      source.madeFrom,
      `lean.config${debug ? " with debugging information" : ""}`,
      ...finished.patches.map(({ name }) => name),
    ],
    madeAt: new Date().toISOString(),
    key,
    compiler: toolchain.compiler,
    notTaken: make.notTaken,
    buildSeconds,
  };
}

function idOf(release: string, debug: boolean, key: string): string {
  return `lean-${release.replace(/-lean$/, "")}${debug ? "-debug" : ""}-${key.slice(0, 6)}`;
}
