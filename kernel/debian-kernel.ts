/**
 * Debian's own `user-mode-linux`, from the first suite that has one that runs here.
 *
 * The kernel wants the C library of its suite, which is newer than that of most machines. It brings
 * it along: the suite's libc6 stands beside it, and the executable is patched to use that one by
 * absolute path. Starting it through its ld.so would not do, because it executes itself again
 * (/proc/self/exe). The choice of suites: docs/decisions/0301-debian-kernel.md.
 */

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { LabError } from "../base/errors.ts";
import { checkBoot } from "./boot-check.ts";
import {
  type Builder,
  ensurePublished,
  entryFolder,
  hashOf,
  type Published,
  removeTree,
} from "./cache/cache.ts";
import { makeSquashfs } from "./images/squashfs.ts";
import { type KernelManifest, probeKernel } from "./kernel-manifest.ts";
import { type Archive, downloadPackages } from "./packages/apt.ts";
import { debianArchive, hostArchive } from "./packages/archives.ts";
import { runOrFail } from "./packages/child.ts";
import { ensureDebianKeyring } from "./packages/debian-keyring.ts";
import { openPlace } from "./packages/open-place.ts";
import type { Place } from "./packages/place.ts";
import { packageInfoOf, unpackPackage } from "./packages/unpack.ts";
import type { EnsureOptions } from "./progress.ts";
import { stripModule } from "./strip-module.ts";
import { ensureTool } from "./tools.ts";

/** In the order of preference; UML_LAB_DEBIAN_SUITES (`trixie,sid`) names others. */
const SUITES = ["testing", "sid", "trixie"];

/** A change of what is kept of a kernel gets a new folder. */
const LAYOUT = 2;

/**
 * The RAID 6 library measures its own speed for 0.85 s before anything else can happen, in every
 * guest. Without its initcall our init runs after 0.02 s instead of 0.9 s (measured on 7.2.7). Its
 * name in 7.2, and in earlier releases.
 */
const RAID6_INITCALLS = "raid6_init,raid6_select_algo";

/**
 * The delay loop is not calibrated (0.02 to 0.04 s more): the guest's devices are virtual and none
 * waits in loops, so the figure only has to be of the right size.
 */
const LOOPS_PER_JIFFY = 40_000_000;

const BOOT_ARGUMENTS = [`initcall_blacklist=${RAID6_INITCALLS}`, `lpj=${LOOPS_PER_JIFFY}`];

const LOADER = "ld-linux-x86-64.so.2";
const MODULES_IMAGE = "modules.squashfs";

/** The fetched kernel; fetches it first if it isn't there. */
export function ensureDebianKernel(
  options: EnsureOptions & { readonly replace?: boolean },
): Promise<Published<KernelManifest>> {
  const suites = process.env.UML_LAB_DEBIAN_SUITES?.split(",").filter(Boolean) ?? SUITES;
  // the patched executable names the cache by its absolute path
  const at = entryFolder("kernels", "");
  const name = `debian-${hashOf({ LAYOUT, suites, BOOT_ARGUMENTS, at }, 8)}`;
  const purpose = "fetching Debian's user-mode-linux";
  return ensurePublished("kernels", name, { ...options, purpose }, async (builder) => {
    await using place = await openPlace("there is no kernel in the cache", options);
    return await fromFirstSuite(place, suites, entryFolder("kernels", name), builder, options);
  });
}

async function fromFirstSuite(
  place: Place,
  suites: readonly string[],
  home: string,
  builder: Builder,
  options: EnsureOptions,
): Promise<KernelManifest> {
  const keyring = process.env.UML_LAB_DEBIAN_MIRROR
    ? await ensureDebianKeyring(place, options)
    : undefined;
  const archives = [
    ...suites.map((suite) => debianArchive(suite, place, keyring)),
    hostArchive(place),
  ].filter((archive) => archive !== undefined);
  const failures: LabError[] = [];
  for (const archive of archives) {
    try {
      return await fromArchive(place, archive, home, builder, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof LabError) || error.code === "NO_SPACE") throw error;
      failures.push(error);
      const what = `no kernel from ${archive.name}: ${error.message.split("\n")[0]}`;
      options.onProgress?.({ what, done: 0, unit: "items" });
      removeTree(builder.folder);
      mkdirSync(builder.folder);
    }
  }
  const causes = failures.map(({ message }, index) => `${archives[index]?.name}: ${message}`);
  const unfit = failures.find(({ code }) => code === "NO_KERNEL");
  throw new LabError(
    unfit?.code ?? "FETCH_FAILED",
    `no kernel could be had:\n  ${causes.join("\n  ")}`,
    {
      hint: unfit?.hint ?? "is the network up, and does `apt-get update` work on this machine?",
    },
  );
}

async function fromArchive(
  place: Place,
  archive: Archive,
  home: string,
  { folder, scratch, lock }: Builder,
  options: EnsureOptions,
): Promise<KernelManifest> {
  const { signal, onProgress } = options;
  const work = join(scratch, archive.name);
  const tree = join(work, "tree");
  mkdirSync(tree, { recursive: true });
  const tools = Promise.all([
    ensureTool("patchelf", options, place),
    ensureTool("mksquashfs", options, place),
  ]);
  tools.catch(() => {}); // awaited below
  const paths = await downloadPackages(
    archive,
    { packages: ["user-mode-linux", "libc6"], into: work, closure: undefined },
    options,
    place,
  );
  const what = "unpacking the kernel";
  for (const [index, deb] of paths.entries()) {
    onProgress?.({ what, done: index, total: paths.length, unit: "items" });
    await unpackPackage(deb, tree, {
      place,
      signal,
      lockFd: lock.fd,
      except: ["./usr/share/man/*", "./usr/share/locale/*", "./usr/lib/*/gconv/*"],
    });
  }
  const executable = join(work, "linux");
  renameSync(join(tree, "usr/bin/linux.uml"), executable);
  gatherLibraries(tree, join(folder, "lib"));
  const config = join(tree, "usr/share/doc/user-mode-linux/config.gz");
  if (existsSync(config)) renameSync(config, join(folder, "config.gz"));
  const shipped = join(tree, "usr/lib/uml/modules");
  stripModules(shipped);
  const [patchelf] = await tools;
  await makeSquashfs(shipped, join(folder, MODULES_IMAGE), {
    ...options,
    place,
    lock,
    compression: "small",
  });

  // Tried where it stands now; its C library will stand at its final place.
  const patch = async (path: string, library: string) =>
    await runOrFail(
      [patchelf, "--set-interpreter", join(library, LOADER), "--set-rpath", library, path],
      "pointing the kernel at its C library",
      { signal, lockFd: lock.fd, place },
    );
  copyFileSync(executable, join(folder, "linux"));
  await patch(executable, join(folder, "lib"));
  const probed = probeKernel(executable);
  const { release } = probed;
  onProgress?.({ what: `trying Linux ${release}`, done: 0, unit: "items" });
  const features = await checkBoot({
    executable,
    bootArguments: BOOT_ARGUMENTS,
    features: probed.features,
    scratch: work,
    signal,
  });
  await patch(join(folder, "linux"), join(home, "lib"));
  renameSync(join(shipped, release), join(folder, "modules"));
  return {
    id: `debian-${release}`,
    kind: "debian",
    release,
    executable: "linux",
    modules: "modules",
    modulesImage: MODULES_IMAGE,
    bootArguments: BOOT_ARGUMENTS,
    features,
    madeFrom: paths.map((path) => {
      const { name, version } = packageInfoOf(path);
      return `${name} ${version} (${archive.name})`;
    }),
    madeAt: new Date().toISOString(),
  };
}

/** The kernel is linked with the C library alone. */
function gatherLibraries(tree: string, into: string): void {
  // libc6 of Debian 12 has it in /lib, later ones in /usr/lib
  const from = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"]
    .map((path) => join(tree, path))
    .find((path) => existsSync(join(path, "libc.so.6")));
  if (from === undefined) throw new LabError("FETCH_FAILED", "libc6 has no libc.so.6");
  mkdirSync(into, { recursive: true });
  for (const name of [LOADER, "libc.so.6"]) copyFileSync(join(from, name), join(into, name));
}

function stripModules(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".ko")) continue;
    const path = join(folder, name);
    writeFileSync(path, stripModule(readFileSync(path)));
  }
}
