/**
 * Root file systems by name. Each is one read-only file, shared by all guests that use it; a guest
 * writes to a layer of its own.
 *
 *     CACHE/images/base-1a2b3c4d/{manifest.json,root.squashfs}
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { LabError } from "../base/errors.ts";
import { ensurePublished, hashOf, listRoom, lookUp, type Published } from "./cache/cache.ts";
import type { Image } from "./guest/spec.ts";
import { buildFromPackages } from "./images/from-packages.ts";
import { LEFT_OUT, type Recipe, recipeFor } from "./images/recipe.ts";
import { SKELETON_DATA } from "./images/skeleton.ts";
import { COMPRESSION } from "./images/squashfs.ts";
import { STAND_INS } from "./images/stand-ins.ts";
import type { EnsureOptions } from "./progress.ts";

export interface ImageManifest {
  readonly id: string;
  readonly reference: string;
  /** Relative to the folder. */
  readonly file: string;
  readonly fileSystem: Image["fileSystem"];
  readonly minimumMemoryBytes: number;
  readonly defaultMemoryBytes: number;
  /** `busybox-static 1:1.35.0-4`, sorted. */
  readonly packages: readonly string[];
  /** ISO 8601. */
  readonly madeAt: string;
}

/** A change of how trees are laid out gets new images. */
const LAYOUT = 2;

const LATER = /^(host|docker:.*|dir:.*|file:.*|packages:.*)$/s;

/**
 * The image for a reference as a topology writes it; made first if it isn't there. Throws NO_IMAGE
 * (there is no such image), NOT_YET, NO_APT, FETCH_FAILED, NO_SPACE.
 */
export async function ensureImage(reference: string, options: EnsureOptions = {}): Promise<Image> {
  const recipe = recipeFor(reference);
  if (recipe === undefined) throw refusal(reference);
  const name = entryName(recipe);
  const found = lookUp<ImageManifest>("images", name);
  if (found !== undefined) return toImage(found);
  const entry = await ensurePublished<ImageManifest>(
    "images",
    name,
    { ...options, purpose: `making the image ${reference}` },
    async (builder) => {
      const file = "root.squashfs";
      const path = join(builder.folder, file);
      const packages = await buildFromPackages(recipe, path, builder, options);
      return {
        id: `${reference}-${(await digestOf(path)).slice(0, 8)}`,
        reference,
        file,
        fileSystem: "squashfs",
        minimumMemoryBytes: recipe.minimumMemoryBytes,
        defaultMemoryBytes: recipe.defaultMemoryBytes,
        packages,
        madeAt: new Date().toISOString(),
      };
    },
  );
  return toImage(entry);
}

/** Every image in the cache. */
export function listImages(): Promise<readonly Image[]> {
  return Promise.resolve(listRoom<ImageManifest>("images").map(toImage));
}

/**
 * The name says what the image is to be made of, not what came of it: looking it up must not need
 * the archive's lists. The id in the manifest is of the bytes.
 */
function entryName(recipe: Recipe): string {
  return `${recipe.reference}-${hashOf({ LAYOUT, COMPRESSION, LEFT_OUT, SKELETON_DATA, STAND_INS, recipe }, 8)}`;
}

function toImage({ folder, manifest }: Published<ImageManifest>): Image {
  return {
    id: manifest.id,
    reference: manifest.reference,
    file: join(folder, manifest.file),
    fileSystem: manifest.fileSystem,
    minimumMemoryBytes: manifest.minimumMemoryBytes,
    defaultMemoryBytes: manifest.defaultMemoryBytes,
  };
}

function refusal(reference: string): LabError {
  return LATER.test(reference)
    ? new LabError("NOT_YET", `images of the kind \`${reference}\` can't be made yet`, {
        hint: "use `base`",
      })
    : new LabError("NO_IMAGE", `there is no image \`${reference}\``, { hint: "use `base`" });
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
