/**
 * Root file systems by name. Each is one read-only file, shared by all guests that use it; a guest
 * writes to a layer of its own.
 *
 *     CACHE/images/base-1a2b3c4d/{manifest.json,root.squashfs}
 *
 * An image's folder is named by a hash of what it is made of; `kernel/images/` has a module for
 * each kind of reference. Only `file:PATH` stays where it is.
 */

import { createHash } from "node:crypto";
import { createReadStream, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { LabError } from "../base/errors.ts";
import {
  ensurePublished,
  entryFolder,
  hashOf,
  listRoom,
  lockEntry,
  lookUp,
  type Published,
  removeTree,
} from "./cache/cache.ts";
import type { Image, ImageProcess } from "./guest/spec.ts";
import { fileImage } from "./images/file-image.ts";
import { buildFromPackages } from "./images/from-packages.ts";
import { type Recipe, recipeFor } from "./images/recipe.ts";
import { SKELETON_DATA } from "./images/skeleton.ts";
import { ANY_MEMORY, type ImageSource, slug } from "./images/source.ts";
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
  readonly process?: ImageProcess | undefined;
  /** ISO 8601. */
  readonly madeAt: string;
}

/** What is known of an image besides what booting needs. */
export interface ImageDetails extends Image {
  readonly bytes: number;
  readonly packages: readonly string[];
  readonly madeAt: string;
}

/** A change of how trees are laid out gets new images. */
const LAYOUT = 4;

/**
 * The image for a reference as a topology writes it (paths absolute); made first if it isn't there.
 * Throws NO_IMAGE (there is none, or it can't be read), NO_APT, NO_DOCKER, FETCH_FAILED, NO_SPACE.
 */
export async function ensureImage(reference: string, options: EnsureOptions = {}): Promise<Image> {
  if (reference.startsWith("file:")) {
    return fileImage(reference, realPath(reference.slice("file:".length)));
  }
  const source = await sourceOf(reference);
  return toImage("manifest" in source ? source : await publish(reference, source, options));
}

async function sourceOf(reference: string): Promise<ImageSource | Published<ImageManifest>> {
  const recipe = recipeFor(reference);
  if (recipe !== undefined) return packagesImage(recipe);
  if (reference.startsWith("dir:")) {
    const { folderImage } = await import("./images/from-folder.ts");
    return folderImage(reference, realPath(reference.slice("dir:".length)));
  }
  if (reference.startsWith("docker:")) {
    const { containerImage } = await import("./images/from-container.ts");
    return await containerImage(reference);
  }
  if (reference === "host") return (await import("./images/from-host.ts")).hostImage();
  throw new LabError("NO_IMAGE", `there is no image \`${reference}\``, {
    hint: "images are `base`, `router`, `host`, `docker:REF`, `dir:PATH`, `file:PATH` and `packages:[a, b]`",
  });
}

/**
 * The name says what the image is to be made of, not what came of it: looking it up must not need
 * the archive's lists. The id in the manifest is of the bytes.
 */
function packagesImage(recipe: Recipe): ImageSource {
  const inputs = hashOf({ LAYOUT, COMPRESSION, SKELETON_DATA, STAND_INS, recipe }, 8);
  return {
    entry: `${slug(recipe.reference)}-${inputs}`,
    minimumMemoryBytes: recipe.minimumMemoryBytes,
    defaultMemoryBytes: recipe.defaultMemoryBytes,
    build: async (file, builder, options) => ({
      packages: await buildFromPackages(recipe, file, builder, options),
    }),
  };
}

function publish(
  reference: string,
  { entry, minimumMemoryBytes, defaultMemoryBytes, build }: ImageSource,
  options: EnsureOptions,
): Promise<Published<ImageManifest>> {
  const found = lookUp<ImageManifest>("images", entry);
  if (found !== undefined) return Promise.resolve(found);
  return ensurePublished<ImageManifest>(
    "images",
    entry,
    { ...options, purpose: `making the image ${reference}` },
    async (builder) => {
      const file = "root.squashfs";
      const path = join(builder.folder, file);
      const made = await build(path, builder, options);
      return {
        id: `${entry.replace(/-[0-9a-f]{8}$/, "")}-${(await digestOf(path)).slice(0, 8)}`,
        reference,
        file,
        fileSystem: "squashfs",
        minimumMemoryBytes,
        defaultMemoryBytes,
        ...made,
        madeAt: new Date().toISOString(),
      };
    },
  );
}

/** Reads an archive of `docker save` or `docker export`: `docker:NAME` is this image from then on. */
export async function importImage(
  archive: string,
  name: string | undefined,
  options: EnsureOptions = {},
): Promise<Image> {
  if (!statSync(archive, { throwIfNoEntry: false })?.isFile()) {
    throw new LabError("FILE_UNREADABLE", `${archive}: there is no such file`);
  }
  const called = name ?? basename(archive).replace(/\.(tar|tgz|tar\.gz)$/, "");
  const reference = `docker:${called}`;
  const inputs = hashOf({ COMPRESSION, reference, archive: await digestOf(archive) }, 8);
  const { packArchive } = await import("./images/from-tar.ts");
  const source: ImageSource = {
    entry: `docker-${slug(called)}-${inputs}`,
    ...ANY_MEMORY,
    build: async (file, builder, { signal, onProgress }) => ({
      packages: [],
      process: await packArchive(archive, file, builder, { signal, onProgress }),
    }),
  };
  return toImage(await publish(reference, source, options));
}

/** Every image in the cache. */
export function listImages(): Promise<readonly ImageDetails[]> {
  return Promise.resolve(
    listRoom<ImageManifest>("images").map((entry) => {
      const image = toImage(entry);
      return {
        ...image,
        bytes: statSync(image.file, { throwIfNoEntry: false })?.size ?? 0,
        packages: entry.manifest.packages,
        madeAt: entry.manifest.madeAt,
      };
    }),
  );
}

/** Removes the images of this id or reference from the cache; how many there were. */
export async function removeImage(idOrReference: string): Promise<number> {
  const wanted = recipeFor(idOrReference)?.reference ?? idOrReference;
  const found = listRoom<ImageManifest>("images").filter(
    ({ manifest }) => manifest.id === wanted || manifest.reference === wanted,
  );
  for (const { folder } of found) {
    const name = basename(folder);
    using _ = await lockEntry(`images-${name}`, { purpose: `removing the image ${wanted}` });
    removeTree(entryFolder("images", name));
  }
  return found.length;
}

function toImage({ folder, manifest }: Published<ImageManifest>): Image {
  return {
    id: manifest.id,
    reference: manifest.reference,
    file: join(folder, manifest.file),
    fileSystem: manifest.fileSystem,
    minimumMemoryBytes: manifest.minimumMemoryBytes,
    defaultMemoryBytes: manifest.defaultMemoryBytes,
    ...(manifest.process === undefined ? {} : { process: manifest.process }),
  };
}

/** Without symbolic links, as the sandbox wants paths; as it is where there is nothing. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
