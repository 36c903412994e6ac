/** `dir:PATH`: a directory tree as it stands, all of it root's. Packed again when it has changed. */

import { lstatSync, statSync } from "node:fs";
import { join } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";
import { hashOf } from "../cache/cache.ts";
import { thisMachine } from "../packages/place.ts";
import { ANY_MEMORY, type ImageSource, slug } from "./source.ts";
import { COMPRESSION, makeSquashfs } from "./squashfs.ts";
import { pathsIn } from "./tree.ts";

export function folderImage(reference: string, path: string): ImageSource {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) {
    throw new LabError(
      "NO_IMAGE",
      `${reference}: ${stat === undefined ? "there is no such folder" : "that is no folder"}`,
      {
        hint:
          stat === undefined
            ? "the path is relative to the topology file"
            : "for an image in a file, write `file:PATH`",
      },
    );
  }
  const inputs = hashOf({ COMPRESSION, tree: fingerprint(path) }, 8);
  return {
    entry: `dir-${slug(path)}-${inputs}`,
    ...ANY_MEMORY,
    async build(file, { lock }, options) {
      await makeSquashfs(path, file, { ...options, place: thisMachine, lock, compression: "fast" });
      return { packages: [] };
    },
  };
}

/** Paths, kinds, modes, sizes and times of everything in a tree: changes with any of them. */
function fingerprint(root: string): string {
  const lines: string[] = [];
  try {
    for (const path of pathsIn(root)) {
      const { mode, size, mtimeMs } = lstatSync(join(root, path));
      const folder = (mode & 0o170000) === 0o040000;
      lines.push(`${path}\0${mode}\0${folder ? "" : `${size} ${mtimeMs}`}`);
    }
  } catch (cause) {
    throw new LabError("NO_IMAGE", `the folder ${root} can't be read: ${messageOf(cause)}`, {
      cause,
    });
  }
  return hashOf(lines, 64);
}
