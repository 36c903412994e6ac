/**
 * One file from a tree: squashfs, with owners root and fixed times, so that the same tree gives the
 * same bytes whoever makes it, without root. Why squashfs: docs/decisions/0302-image-format.md.
 */

import { availableParallelism } from "node:os";
import type { Lock } from "../cache/lock.ts";
import { runOrFail } from "../packages/child.ts";
import type { Place } from "../packages/place.ts";
import type { EnsureOptions } from "../progress.ts";
import { ensureTool } from "../tools.ts";

export interface SquashfsOptions extends EnsureOptions {
  readonly place: Place;
  readonly lock: Lock;
  /** `fast` to read, for what guests run; `small` for what they seldom read. */
  readonly compression: keyof typeof COMPRESSION;
}

export const COMPRESSION = {
  fast: ["-comp", "lz4", "-Xhc", "-b", "32K"],
  small: ["-comp", "zstd", "-Xcompression-level", "9", "-b", "128K"],
} as const;

export async function makeSquashfs(
  tree: string,
  file: string,
  { place, lock, signal, onProgress, compression }: SquashfsOptions,
): Promise<void> {
  const mksquashfs = await ensureTool("mksquashfs", { signal, onProgress }, place);
  await runOrFail(
    [
      mksquashfs,
      tree,
      file,
      ...COMPRESSION[compression],
      ...["-all-root", "-no-xattrs", "-no-exports", "-noappend", "-no-progress", "-quiet"],
      ...["-mkfs-time", "0", "-all-time", "0"],
      ...["-processors", String(availableParallelism())],
    ],
    "making a squashfs",
    // mksquashfs refuses its own time options where this is set
    { place, signal, lockFd: lock.fd, env: { ...process.env, SOURCE_DATE_EPOCH: undefined } },
  );
}
