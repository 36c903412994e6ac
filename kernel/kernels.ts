/**
 * The kernels at hand: Debian's `user-mode-linux`, fetched on first use; lean ones that
 * `kernel/build` made; or an executable that the user names.
 *
 * Every kernel in the cache is a folder of the room `kernels`:
 *
 *     debian-1a2b3c4d/{manifest.json,linux,lib/,modules/,config}
 *     lean-7.3.4-1a2b3c/{manifest.json,linux,…}
 */

import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { LabError } from "../base/errors.ts";
import { listRoom, type Published } from "./cache/cache.ts";
import { ensureDebianKernel } from "./debian-kernel.ts";
import type { Kernel } from "./guest/spec.ts";
import { type KernelManifest, probeKernel } from "./kernel-manifest.ts";
import type { EnsureOptions } from "./progress.ts";

export type KernelChoice = "auto" | "debian" | "lean" | (string & {});

/**
 * The kernel for a choice: `debian` and `auto` fetch it first if need be; a path is taken as it is.
 * UML_LAB_KERNEL goes before everything. Throws NO_KERNEL, NO_APT, FETCH_FAILED, NO_SPACE.
 */
export async function ensureKernel(
  choice: KernelChoice,
  options: EnsureOptions = {},
): Promise<Kernel> {
  const override = process.env.UML_LAB_KERNEL;
  if (override) return kernelAt(override, "UML_LAB_KERNEL");
  switch (choice) {
    case "lean":
    case "auto": {
      const lean = newestLean();
      if (lean !== undefined) return toKernel(lean);
      if (choice === "auto") return toKernel(await ensureDebianKernel(options));
      throw new LabError("NO_KERNEL", "the lean kernel is not built yet", {
        hint: "uml-lab kernel build",
      });
    }
    case "debian":
      return toKernel(await ensureDebianKernel(options));
    default:
      return kernelAt(choice, "the topology");
  }
}

/** Every kernel in the cache, and what UML_LAB_KERNEL names. Starts and fetches nothing. */
export function listKernels(): Promise<readonly Kernel[]> {
  const kernels = listRoom<KernelManifest>("kernels").map(toKernel);
  const override = process.env.UML_LAB_KERNEL;
  return Promise.resolve(
    override && isExecutable(override)
      ? [kernelAt(override, "UML_LAB_KERNEL"), ...kernels]
      : kernels,
  );
}

function newestLean(): Published<KernelManifest> | undefined {
  return listRoom<KernelManifest>("kernels")
    .filter(({ manifest }) => manifest.kind === "lean")
    .sort((a, b) => (a.manifest.madeAt < b.manifest.madeAt ? 1 : -1))[0];
}

export function toKernel({ folder, manifest }: Published<KernelManifest>): Kernel {
  return {
    id: manifest.id,
    release: manifest.release,
    executable: join(folder, manifest.executable),
    modules: manifest.modules === null ? undefined : join(folder, manifest.modules),
    modulesImage: manifest.modulesImage ? join(folder, manifest.modulesImage) : undefined,
    bootArguments: manifest.bootArguments ?? [],
    madeFrom: manifest.madeFrom,
    features: manifest.features,
  };
}

/** An executable the user names; its modules stand beside it (`modules/`, or `lib/modules/X`). */
function kernelAt(path: string, namedBy: string): Kernel {
  const executable = resolve(path);
  if (!isExecutable(executable)) {
    throw new LabError("NO_KERNEL", `the kernel ${path} (${namedBy}) is not an executable file`);
  }
  const known = manifestOf(executable);
  if (known !== undefined) return { ...toKernel(known), id: path };
  const { release, features } = probeKernel(executable);
  const modules = [
    join(dirname(executable), "modules"),
    join(dirname(executable), "lib", "modules", release),
    join("/usr/lib/uml/modules", release),
    join("/lib/modules", release),
  ].find((folder) => existsSync(join(folder, "modules.dep")));
  return { id: path, release, executable, modules, bootArguments: [], features };
}

/** What is written down of it, where it stands in a cache. */
function manifestOf(executable: string): Published<KernelManifest> | undefined {
  const folder = dirname(executable);
  try {
    const text = readFileSync(join(folder, "manifest.json"), "utf8");
    const manifest = JSON.parse(text) as KernelManifest;
    return manifest.executable === basename(executable) ? { folder, manifest } : undefined;
  } catch {
    return undefined;
  }
}

function isExecutable(path: string): boolean {
  try {
    const stat = statSync(path);
    return stat.isFile() && (stat.mode & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** The kernel's own configuration where it is kept beside it, as text. */
export function configOf(kernel: Kernel): string | undefined {
  try {
    return gunzipSync(readFileSync(join(dirname(kernel.executable), "config.gz"))).toString();
  } catch {
    return undefined;
  }
}
