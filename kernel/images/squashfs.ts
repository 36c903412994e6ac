/**
 * One file from a tree: squashfs, with owners root and fixed times, so that the same tree gives the
 * same bytes whoever makes it, without root. Why squashfs: docs/decisions/0302-image-format.md.
 */

import { lstatSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Lock } from "../cache/lock.ts";
import { runOrFail } from "../packages/child.ts";
import type { Place } from "../packages/place.ts";
import type { EnsureOptions } from "../progress.ts";
import { ensureTool } from "../tools.ts";
import { pathsIn } from "./tree.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Who owns what, by path in the tree (`etc/frr`); all else is root's. */
export type Owners = ReadonlyMap<string, Owner>;

export interface SquashfsOptions extends EnsureOptions {
  readonly place: Place;
  readonly lock: Lock;
  /** `fast` to read, for what guests run; `small` for what they seldom read. */
  readonly compression: keyof typeof COMPRESSION;
  readonly owners?: Owners;
}

export const COMPRESSION = {
  fast: ["-comp", "lz4", "-Xhc", "-b", "32K"],
  small: ["-comp", "zstd", "-Xcompression-level", "9", "-b", "128K"],
} as const;

export async function makeSquashfs(
  tree: string,
  file: string,
  { place, lock, signal, onProgress, compression, owners = new Map() }: SquashfsOptions,
): Promise<void> {
  const mksquashfs = await ensureTool("mksquashfs", { signal, onProgress }, place);
  const list = `${file}.owners`;
  // `-all-root` would go before the list: with a list, it names everything
  if (owners.size > 0) writeFileSync(list, ownersList(tree, owners));
  await runOrFail(
    [
      mksquashfs,
      tree,
      file,
      ...COMPRESSION[compression],
      ...(owners.size > 0 ? ["-pf", list] : ["-all-root"]),
      ...["-no-xattrs", "-no-exports", "-noappend", "-no-progress", "-quiet"],
      ...["-mkfs-time", "0", "-all-time", "0"],
      ...["-processors", String(availableParallelism())],
    ],
    "making a squashfs",
    // mksquashfs refuses its own time options where this is set
    { place, signal, lockFd: lock.fd, env: { ...process.env, SOURCE_DATE_EPOCH: undefined } },
  );
  rmSync(list, { force: true });
}

/** A pseudo file of mksquashfs(1): a line `"PATH" m MODE UID GID` for everything in the tree. */
function ownersList(tree: string, owners: Owners): string {
  return pathsIn(tree)
    .map((path) => {
      const { uid, gid } = owners.get(path) ?? { uid: 0, gid: 0 };
      const mode = (lstatSync(join(tree, path)).mode & 0o7777).toString(8);
      return `"/${path.replace(/[\\"]/g, "\\$&")}" m ${mode} ${uid} ${gid}\n`;
    })
    .join("");
}
