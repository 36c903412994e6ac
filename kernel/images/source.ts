/** What an image comes from: each kind of reference (`router`, `dir:PATH`, …) makes one of these. */

import type { Builder } from "../cache/cache.ts";
import type { ImageProcess } from "../guest/spec.ts";
import type { EnsureOptions } from "../progress.ts";

export interface Made {
  /** `busybox-static 1:1.35.0-4`, sorted; empty where it isn't made of packages. */
  readonly packages: readonly string[];
  readonly process?: ImageProcess | undefined;
}

export interface ImageSource {
  /** Its folder in the cache: a name, and a hash of all that the image is made of. */
  readonly entry: string;
  readonly minimumMemoryBytes: number;
  readonly defaultMemoryBytes: number;
  /** Writes the squashfs `file`. */
  build(file: string, builder: Builder, options: EnsureOptions): Promise<Made>;
}

const MIB = 1 << 20;

/** For file systems that somebody else made: what is in them isn't known. */
export const ANY_MEMORY = { minimumMemoryBytes: 40 * MIB, defaultMemoryBytes: 128 * MIB };

/** A reference as part of a file's name. */
export function slug(reference: string): string {
  return reference
    .replace(/[^A-Za-z0-9.]+/g, "-")
    .replace(/^-|-$/g, "")
    .slice(-40);
}
