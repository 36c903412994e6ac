/** `file:PATH`: a file system somebody made, used where it is. Its first bytes tell its kind. */

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { basename } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";
import { hashOf } from "../cache/cache.ts";
import type { Image } from "../guest/spec.ts";
import { ANY_MEMORY } from "./source.ts";

/** Magic numbers, little-endian. linux: include/uapi/linux/magic.h */
const KINDS: readonly (readonly [Image["fileSystem"], at: number, magic: string])[] = [
  ["squashfs", 0, "68737173"],
  ["erofs", 1024, "e2e1f5e0"],
  ["ext4", 1080, "53ef"],
];

export function fileImage(reference: string, path: string): Image {
  const head = Buffer.alloc(2048);
  let key: string;
  try {
    const { size, mtimeMs, ino } = statSync(path);
    key = hashOf({ path, size, mtimeMs, ino }, 8);
    const fd = openSync(path, "r");
    try {
      readSync(fd, head, 0, head.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    throw new LabError("NO_IMAGE", `${reference}: ${messageOf(cause)}`, {
      cause,
      hint: "the path is relative to the topology file",
    });
  }
  const kind = KINDS.find(
    ([, at, magic]) => head.toString("hex", at, at + magic.length / 2) === magic,
  );
  if (kind === undefined) {
    throw new LabError(
      "NO_IMAGE",
      `${reference} is neither a squashfs, an ext4 nor an erofs file system`,
      {
        hint: "a disk with partitions can't be used; an archive can: uml-lab image import FILE.tar",
      },
    );
  }
  return {
    id: `${basename(path)}-${key}`,
    reference,
    file: path,
    fileSystem: kind[0],
    ...ANY_MEMORY,
  };
}
