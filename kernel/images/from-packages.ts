/**
 * A root file system from Debian packages, without root: unpacked into a tree whose owners don't
 * matter, finished with what maintainer scripts would have done, and packed as root's.
 */

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Builder } from "../cache/cache.ts";
import { downloadPackages } from "../packages/apt.ts";
import { hostArchive } from "../packages/archives.ts";
import { runOrFail } from "../packages/child.ts";
import { openPlace } from "../packages/open-place.ts";
import { packageInfoOf, unpackPackage } from "../packages/unpack.ts";
import type { EnsureOptions } from "../progress.ts";
import { ensureTool } from "../tools.ts";
import {
  foldersOfTree,
  joinWishes,
  readScript,
  type Wishes,
  wishesOfTree,
} from "./maintainer-scripts.ts";
import type { Recipe } from "./recipe.ts";
import { finishTree, laySkeleton } from "./skeleton.ts";
import { makeSquashfs } from "./squashfs.ts";
import { putStandIns } from "./stand-ins.ts";

/** Nobody reads these at a guest's prompt. */
const NOT_UNPACKED = [
  "./usr/include/*",
  "./usr/lib/*.a",
  "./usr/share/bash-completion/*",
  "./usr/share/bug/*",
  "./usr/share/doc/*",
  "./usr/share/doc-base/*",
  "./usr/share/info/*",
  "./usr/share/lintian/*",
  "./usr/share/locale/*",
  "./usr/share/man/*",
  "./usr/share/menu/*",
  "./usr/lib/*/gconv/*",
  "./lib/systemd/*",
  "./usr/lib/systemd/*",
  "./usr/share/initramfs-tools/*",
  "./etc/apparmor.d/*",
  "./etc/skel/*",
];

/** Writes the image to `file`; the packages it was made of, with versions. */
export async function buildFromPackages(
  recipe: Recipe,
  file: string,
  { scratch, lock }: Builder,
  options: EnsureOptions,
): Promise<string[]> {
  await using place = await openPlace(`the image ${recipe.reference} is not in the cache`, options);
  const { signal, onProgress } = options;
  const packing = ensureTool("mksquashfs", options, place);
  packing.catch(() => {}); // asked for again where it is needed
  const debs = join(scratch, "debs");
  mkdirSync(debs);
  const archive = hostArchive(place);
  const closure = { installed: recipe.leftOut };
  await downloadPackages(
    archive,
    { packages: recipe.packages, into: debs, closure },
    options,
    place,
  );
  const alone = { packages: recipe.alone, into: debs, closure: undefined };
  const paths = await downloadPackages(archive, alone, options, place);
  const tree = join(scratch, "tree");
  const control = join(scratch, "control");
  mkdirSync(tree);
  laySkeleton(tree);
  const wishes: Wishes[] = [];
  const what = `unpacking the image ${recipe.reference}`;
  for (const [index, deb] of paths.entries()) {
    onProgress?.({ what, done: index, total: paths.length, unit: "items" });
    await unpackPackage(deb, tree, {
      place,
      signal,
      lockFd: lock.fd,
      except: [...NOT_UNPACKED, ...exceptionsOf(recipe, deb)],
    });
    await runOrFail(["dpkg-deb", "--control", deb, control], what, { place, signal });
    wishes.push(...SCRIPTS.map((script) => readScript(textOf(join(control, script)))));
    rmSync(control, { recursive: true });
  }
  const owners = finishTree(tree, {
    applets: await appletsOf(join(tree, "usr/bin/busybox"), signal),
    wishes: joinWishes([...wishes, wishesOfTree(tree)]),
    folders: foldersOfTree(tree),
  });
  if (recipe.services) putStandIns(tree);
  onProgress?.({ what: `packing the image ${recipe.reference}`, done: 0, unit: "items" });
  await packing;
  await makeSquashfs(tree, file, { ...options, place, lock, compression: "fast", owners });
  return paths
    .map(packageInfoOf)
    .map(({ name, version }) => `${name} ${version}`)
    .sort();
}

const SCRIPTS = ["preinst", "postinst"];

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function exceptionsOf({ except = {}, services }: Recipe, deb: string): readonly string[] {
  const { name } = packageInfoOf(deb);
  const own = Object.entries(except).filter(([pattern]) =>
    pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
  );
  return [...(services ? [] : ["./etc/init.d/*"]), ...own.flatMap(([, patterns]) => patterns)];
}

/** busybox is static, so that it runs here as it will there: `usr/bin/awk`, `sbin/route`, … */
async function appletsOf(busybox: string, signal: AbortSignal | undefined): Promise<string[]> {
  const { stdout } = await runOrFail([busybox, "--list-full"], "asking busybox", { signal });
  return stdout.split("\n").filter(Boolean);
}
