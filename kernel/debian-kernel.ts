/**
 * Debian's own `user-mode-linux`, from the first suite that has one that runs here.
 *
 * The kernel wants the C library of its suite, which is newer than that of most machines. It brings
 * it along: the suite's libc6 stands beside it, and the executable is patched to use that one by
 * absolute path. Starting it through its ld.so would not do, because it executes itself again
 * (/proc/self/exe). The choice of suites: docs/decisions/0301-debian-kernel.md.
 */

import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { LabError, messageOf } from "../base/errors.ts";
import {
  type Builder,
  ensurePublished,
  entryFolder,
  hashOf,
  type Published,
} from "./cache/cache.ts";
import { type KernelManifest, probeKernel } from "./kernel-manifest.ts";
import { type Archive, downloadPackages, haveApt } from "./packages/apt.ts";
import { debianArchive, hostArchive, noApt } from "./packages/archives.ts";
import { runOrFail } from "./packages/child.ts";
import { packageInfoOf, unpackPackage } from "./packages/unpack.ts";
import type { EnsureOptions } from "./progress.ts";
import { ensureTool } from "./tools.ts";

/** In the order of preference. */
const SUITES = ["testing", "sid", "trixie"] as const;

/** A change of what is kept of a kernel gets a new folder. */
const LAYOUT = 1;

const LOADER = "ld-linux-x86-64.so.2";

/** The fetched kernel; fetches it first if it isn't there. */
export function ensureDebianKernel(
  options: EnsureOptions & { readonly replace?: boolean },
): Promise<Published<KernelManifest>> {
  // the patched executable names the cache by its absolute path
  const name = `debian-${hashOf({ LAYOUT, SUITES, at: entryFolder("kernels", "") }, 8)}`;
  const purpose = "fetching Debian's user-mode-linux";
  return ensurePublished("kernels", name, { ...options, purpose }, async (builder) => {
    if (!haveApt()) throw noApt("there is no kernel in the cache");
    return await fromFirstSuite(entryFolder("kernels", name), builder, options);
  });
}

async function fromFirstSuite(
  home: string,
  builder: Builder,
  options: EnsureOptions,
): Promise<KernelManifest> {
  const archives = [...SUITES.map((suite) => debianArchive(suite)), hostArchive()].filter(
    (archive) => archive !== undefined,
  );
  const failures: string[] = [];
  for (const archive of archives) {
    try {
      return await fromArchive(archive, home, builder, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof LabError) || error.code === "NO_SPACE") throw error;
      failures.push(`${archive.name}: ${messageOf(error)}`);
      const what = `no kernel from ${archive.name} (${messageOf(error).split("\n")[0]})`;
      options.onProgress?.({ what, done: 0, unit: "items" });
    }
  }
  throw new LabError("FETCH_FAILED", `no kernel could be had:\n  ${failures.join("\n  ")}`, {
    hint: "is the network up, and does `apt-get update` work on this machine?",
  });
}

async function fromArchive(
  archive: Archive,
  home: string,
  { folder, scratch, lock }: Builder,
  options: EnsureOptions,
): Promise<KernelManifest> {
  const { signal, onProgress } = options;
  const debs = join(scratch, archive.name);
  mkdirSync(debs);
  const packages = ["user-mode-linux", "libc6"];
  const patchelf = ensureTool("patchelf", options);
  patchelf.catch(() => {}); // awaited below
  const paths = await downloadPackages(
    archive,
    { packages, into: debs, closure: undefined },
    options,
  );
  const what = "unpacking the kernel";
  onProgress?.({ what, done: 0, total: paths.length, unit: "items" });
  const tree = join(debs, "tree");
  mkdirSync(tree);
  for (const [index, deb] of paths.entries()) {
    await unpackPackage(deb, tree, {
      ...(signal === undefined ? {} : { signal }),
      lockFd: lock.fd,
      except: ["./usr/share/man/*", "./usr/share/locale/*", "./usr/lib/*/gconv/*"],
    });
    onProgress?.({ what, done: index + 1, total: paths.length, unit: "items" });
  }
  arrange(tree, folder);
  // Tried where it stands now; its C library will stand at its final place.
  const tried = join(debs, "linux");
  copyFileSync(join(folder, "linux"), tried);
  const patch = async (executable: string, library: string) =>
    await runOrFail(
      [
        await patchelf,
        ...["--set-interpreter", join(library, LOADER)],
        ...["--set-rpath", library, executable],
      ],
      "pointing the kernel at its C library",
      { signal, lockFd: lock.fd },
    );
  await patch(tried, join(folder, "lib"));
  const { release, features } = probeKernel(tried);
  await patch(join(folder, "linux"), join(home, "lib"));
  return {
    id: `debian-${release}`,
    kind: "debian",
    release,
    executable: "linux",
    modules: "modules",
    features,
    madeFrom: paths.map((path) => {
      const { name, version } = packageInfoOf(path);
      return `${name} ${version} (${archive.name})`;
    }),
    madeAt: new Date().toISOString(),
  };
}

/** Moves what a kernel needs out of the unpacked packages. */
function arrange(tree: string, folder: string): void {
  renameSync(join(tree, "usr/bin/linux.uml"), join(folder, "linux"));
  const modules = join(tree, "usr/lib/uml/modules");
  const [release] = readdirSync(modules);
  if (release === undefined) throw new LabError("FETCH_FAILED", "the kernel has no modules");
  renameSync(join(modules, release), join(folder, "modules"));
  const config = join(tree, "usr/share/doc/user-mode-linux/config.gz");
  if (existsSync(config)) renameSync(config, join(folder, "config.gz"));
  mkdirSync(join(folder, "lib"));
  // libc6 of Debian 12 has them in /lib, later ones in /usr/lib
  const libraries = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"]
    .map((path) => join(tree, path))
    .find((path) => existsSync(join(path, "libc.so.6")));
  if (libraries === undefined) throw new LabError("FETCH_FAILED", "libc6 has no libc.so.6");
  for (const name of [LOADER, "libc.so.6"]) {
    copyFileSync(join(libraries, name), join(folder, "lib", name));
  }
}
