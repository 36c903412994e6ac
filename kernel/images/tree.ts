/**
 * Paths in a tree that is to be a guest's root. Links in it mean what they will mean there: `/run` is
 * the tree's own, and nothing here follows one to the host.
 */

import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import { join, posix } from "node:path";

/** Every path in the tree, relative, sorted, the top (``) first; links are not followed. */
export function pathsIn(root: string): string[] {
  const found = [""];
  const visit = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      found.push(path);
      if (entry.isDirectory()) visit(path);
    }
  };
  visit("");
  return found.sort();
}

const MOST_LINKS = 40;

/** Where a path leads in the tree, relative to its top; its last part is not followed. */
export function resolveIn(root: string, path: string, links = 0): string {
  const parts = posix.normalize(`/${path}`).split("/").filter(Boolean);
  for (let i = 0; i < parts.length - 1; i++) {
    const at = parts.slice(0, i + 1).join("/");
    if (!lstatSync(join(root, at), { throwIfNoEntry: false })?.isSymbolicLink()) continue;
    if (links === MOST_LINKS) throw new Error(`too many links in ${path}`);
    const target = posix.resolve("/", posix.dirname(at), readlinkSync(join(root, at)));
    return resolveIn(root, posix.join(target, ...parts.slice(i + 1)), links + 1);
  }
  return parts.join("/");
}
