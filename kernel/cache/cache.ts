/**
 * The cache: kernels, images and tools, each a folder that is whole or not there.
 *
 *     CACHE/kernels/debian-1a2b3c4d/manifest.json …     published: never changed again
 *     CACHE/kernels/.debian-1a2b3c4d.part/               being built, under the lock
 *     CACHE/locks/kernels-debian-1a2b3c4d
 *
 * A folder is built beside its place and renamed into it. Whoever holds the lock may remove what
 * it finds half-made, because nobody else can be building it. Looking up a published folder reads
 * one small file and takes no lock, so a warm cache costs a fraction of a millisecond and works
 * offline. Names carry a hash of what the folder is made from; other inputs get another folder.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";
import { cacheFolder } from "../../base/folders.ts";
import type { EnsureOptions } from "../progress.ts";
import { acquireLock, type Lock } from "./lock.ts";

export type Room = "kernels" | "images" | "tools" | "packages" | "symbols";

const MANIFEST = "manifest.json";

export interface Published<M> {
  readonly folder: string;
  readonly manifest: M;
}

/** The first `length` hexadecimal digits of the SHA-256 of a value's JSON. */
export function hashOf(value: unknown, length = 12): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, length);
}

export function roomFolder(room: Room): string {
  return join(cacheFolder(), room);
}

export function entryFolder(room: Room, name: string): string {
  return join(roomFolder(room), name);
}

/** A published folder and its manifest, or undefined. */
export function lookUp<M>(room: Room, name: string): Published<M> | undefined {
  const folder = entryFolder(room, name);
  try {
    return { folder, manifest: JSON.parse(readFileSync(join(folder, MANIFEST), "utf8")) as M };
  } catch {
    return undefined;
  }
}

/** Every published folder of a room, by name. */
export function listRoom<M>(room: Room): Published<M>[] {
  let names: string[];
  try {
    names = readdirSync(roomFolder(room)).sort();
  } catch {
    return [];
  }
  return names
    .filter((name) => !name.startsWith("."))
    .map((name) => lookUp<M>(room, name))
    .filter((entry) => entry !== undefined);
}

export interface Builder {
  /** Private, empty, on the cache's file system: what is put here is published. */
  readonly folder: string;
  /** The same, and gone afterwards. */
  readonly scratch: string;
  readonly lock: Lock;
}

/**
 * The published folder, built first if it isn't there. `build` fills `folder` and returns the
 * manifest. Throws what `build` throws; then nothing is left.
 */
export async function ensurePublished<M extends object>(
  room: Room,
  name: string,
  options: EnsureOptions & { readonly purpose: string; readonly replace?: boolean },
  build: (builder: Builder) => Promise<M>,
): Promise<Published<M>> {
  if (!options.replace) {
    const found = lookUp<M>(room, name);
    if (found !== undefined) return found;
  }
  const part = join(roomFolder(room), `.${name}.part`);
  makeCacheFolder(roomFolder(room));
  using lock = await lockEntry(`${room}-${name}`, options);
  if (!options.replace) {
    const found = lookUp<M>(room, name);
    if (found !== undefined) return found;
  }
  removeTree(part);
  try {
    const builder = { folder: join(part, "new"), scratch: join(part, "scratch"), lock };
    mkdirSync(builder.folder, { recursive: true });
    mkdirSync(builder.scratch);
    const manifest = await build(builder);
    options.signal?.throwIfAborted();
    writeFileSync(join(builder.folder, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
    const folder = entryFolder(room, name);
    try {
      renameSync(folder, join(part, "old"));
    } catch {
      // there was none
    }
    renameSync(builder.folder, folder);
    return { folder, manifest };
  } catch (error) {
    throw asLabError(error);
  } finally {
    removeTree(part);
  }
}

/** A lock by name, with who holds it told as progress. */
export function lockEntry(
  name: string,
  options: EnsureOptions & { readonly purpose: string },
): Promise<Lock> {
  return acquireLock(join(cacheFolder(), "locks", name), {
    signal: options.signal,
    purpose: options.purpose,
    onWait: (holder) =>
      options.onProgress?.({ what: `waiting for ${holder}`, done: 0, unit: "items" }),
  });
}

function makeCacheFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw new LabError("NO_RIGHT", `the cache folder ${path} can't be made: ${messageOf(cause)}`, {
      cause,
      hint: "set UML_LAB_CACHE to a folder of your own",
    });
  }
}

/** Removes a folder and all in it, if it is there. */
export function removeTree(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

/** A full disk and an interruption are a person's business, not a stack. */
function asLabError(error: unknown): unknown {
  if (error instanceof LabError) return error;
  const { code, name } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new LabError("NO_SPACE", `there is no room left in ${cacheFolder()}`, {
      cause: error,
      hint: "make room, or set UML_LAB_CACHE to a folder on another disk",
    });
  }
  if (name === "AbortError" || code === "ABORT_ERR") {
    return new LabError("INTERRUPTED", "interrupted", { cause: error });
  }
  return error;
}
