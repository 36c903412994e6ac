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

import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { cacheFolder } from "../../base/folders.ts";
import { packageRoot } from "../../base/package-root.ts";
import { checkBoot } from "../boot-check.ts";
import { ensurePublished, hashOf, listRoom, lockEntry, removeTree } from "../cache/cache.ts";
import type { Lock } from "../cache/lock.ts";
import type { Kernel } from "../guest/spec.ts";
import { type KernelManifest, probeKernel } from "../kernel-manifest.ts";
import { toKernel } from "../kernels.ts";
import { runOrFail } from "../packages/child.ts";
import { fragmentFor } from "./configuration.ts";
import { Make, type MakeOptions } from "./make.ts";
import { applyPatches, changesOf, givenBy, ourPatches, type Patch, patchesIn } from "./patches.ts";
import {
  DEFAULT_SOURCE,
  identityOf,
  makeSource,
  parseSource,
  type Source,
  type SourceChoice,
} from "./source.ts";
import { openToolchain, type Toolchain } from "./toolchain.ts";

/** A change of how the kernel is made gets a new folder; of what is kept with debugging information. */
const LAYOUT = 1;
const DEBUG_LAYOUT = 2;

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

export interface BuildKernelOptions extends MakeOptions {
  /** A release (`7.3`, `6.12`: Debian's package of it), a folder, or a tarball. */
  readonly source?: string | undefined;
  /** With debugging information, kept beside the stripped kernel. */
  readonly debug?: boolean | undefined;
}

export interface LeanManifest extends KernelManifest {
  /** What it was asked for: same key, same kernel. */
  readonly key: string;
  readonly compiler: string;
  /** Options of our configuration that this source doesn't have. */
  readonly notTaken: readonly string[];
  readonly buildSeconds: number;
}

/** What a kernel is to be made of, and what is called by its hash. */
interface Order {
  readonly choice: SourceChoice;
  readonly debug: boolean;
  readonly fragment: string;
  readonly patches: readonly Patch[];
  readonly key: string;
  /** The build's own folder. */
  readonly work: string;
}

async function orderOf(options: BuildKernelOptions): Promise<Order> {
  const choice = parseSource(options.source ?? DEFAULT_SOURCE);
  const debug = options.debug ?? false;
  const lean = readFileSync(join(packageRoot, "kernel/build/lean.config"), "utf8");
  const fragment = fragmentFor(lean, debug);
  const identity = await identityOf(choice);
  const patches = ourPatches();
  const changes = patches.map(changesOf);
  const layout = { LAYOUT, identity, fragment, changes, BOOT_ARGUMENTS };
  const key = hashOf({ ...layout, debug: debug && DEBUG_LAYOUT });
  return { choice, debug, fragment, patches, key, work: join(cacheFolder(), "builds", key) };
}

/**
 * The kernel; built first if these inputs weren't built before. A tree of the user's is built again
 * each time, which costs what has changed.
 * Throws BUILD_FAILED, NO_TOOL, NO_APT, NO_KERNEL, FETCH_FAILED, FILE_UNREADABLE, BAD_VALUE, INTERRUPTED.
 */
export async function buildKernel(options: BuildKernelOptions = {}): Promise<Kernel> {
  const order = await orderOf(options);
  const { debug, key, work } = order;
  const there = builtBefore(order);
  if (there !== undefined) return there;
  using lock = await lockBuild(order, options);
  const meanwhile = builtBefore(order);
  if (meanwhile !== undefined) return meanwhile;

  const startedAt = performance.now();
  await using toolchain = await toolchainFor(order, options);
  const configured = await configure(order, toolchain, lock, options);
  await configured.make.build();
  const release = await configured.make.release();
  const published = await ensurePublished<LeanManifest>(
    "kernels",
    idOf(release, debug, key),
    { ...options, purpose: PURPOSE, replace: order.choice.kind === "tree" },
    async ({ folder, scratch }) =>
      await keep({
        ...configured,
        ...{ toolchain, folder, scratch, key, debug, startedAt, options },
      }),
  );
  // with debugging information, the sources are what a debugger shows
  if (!debug) removeTree(work);
  return toKernel(published);
}

/** The kernel, if it was built of the same before. */
export async function findBuilt(options: BuildKernelOptions = {}): Promise<Kernel | undefined> {
  return builtBefore(await orderOf(options));
}

export interface ConfiguredSource {
  /** The sources with our patches. */
  readonly tree: string;
  /** What the source made of our configuration, as text. */
  readonly config: string;
  readonly patches: readonly string[];
}

/**
 * The first part of `buildKernel`: sources, patches and configuration, for tests of these. A build
 * goes on from there. Throws what `buildKernel` throws.
 */
export async function configureKernel(options: BuildKernelOptions = {}): Promise<ConfiguredSource> {
  const order = await orderOf(options);
  using lock = await lockBuild(order, options);
  await using toolchain = await toolchainFor(order, options);
  const { source, out, patches } = await configure(order, toolchain, lock, options);
  return {
    tree: source.tree,
    config: readFileSync(join(out, ".config"), "utf8"),
    patches: patches.map(({ name }) => name),
  };
}

const PURPOSE = "building a lean kernel";

async function lockBuild({ key, work }: Order, options: BuildKernelOptions): Promise<Lock> {
  mkdirSync(work, { recursive: true });
  return await lockEntry(`build-${key}`, { ...options, purpose: PURPOSE });
}

function toolchainFor({ choice }: Order, options: BuildKernelOptions): Promise<Toolchain> {
  return openToolchain(choice.kind === "package" ? [] : [choice.path], options);
}

/** A tree that is ready to be compiled. */
interface Configured {
  readonly make: Make;
  readonly source: Source;
  readonly out: string;
  /** Those that are in it. */
  readonly patches: readonly Patch[];
}

async function configure(
  { choice, fragment, patches, work }: Order,
  toolchain: Toolchain,
  lock: Lock,
  options: BuildKernelOptions,
): Promise<Configured> {
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
  return { make, source, out, patches: applied };
}

/** A user's tree may have changed since. */
function builtBefore({ choice, key }: Order): Kernel | undefined {
  if (choice.kind === "tree") return undefined;
  const built = listRoom<LeanManifest>("kernels").find(({ manifest }) => manifest.key === key);
  return built && toKernel(built);
}

interface Finished extends Configured {
  readonly toolchain: Toolchain;
  readonly folder: string;
  readonly scratch: string;
  readonly key: string;
  readonly debug: boolean;
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
    keepHelpers(out, join(folder, "gdb"));
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
      `lean.config${debug ? " with debugging information" : ""}${without(make.notTaken)}`,
      ...finished.patches.map(({ name }) => name),
    ],
    madeAt: new Date().toISOString(),
    key,
    compiler: toolchain.compiler,
    notTaken: make.notTaken,
    buildSeconds,
  };
}

/** gdb's commands for a kernel, which are Python; links of the build's folder become files. */
function keepHelpers(out: string, folder: string): void {
  const script = join(out, "vmlinux-gdb.py");
  if (!existsSync(script)) return;
  cpSync(join(out, "scripts/gdb"), join(folder, "scripts/gdb"), {
    recursive: true,
    dereference: true,
    filter: (path) => statSync(path).isDirectory() || path.endsWith(".py"),
  });
  copyFileSync(script, join(folder, "vmlinux-gdb.py"));
}

function without(notTaken: readonly string[]): string {
  return notTaken.length === 0 ? "" : `, which this source takes without ${notTaken.join(", ")}`;
}

function idOf(release: string, debug: boolean, key: string): string {
  return `lean-${release.replace(/-lean$/, "")}${debug ? "-debug" : ""}-${key.slice(0, 6)}`;
}
