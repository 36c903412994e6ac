/** How far a build is that was interrupted: the objects that are there. */

import { readdirSync } from "node:fs";
import { join } from "node:path";

/** Follows no links: a build's folder has one to its sources, which the folder may be in. */
export function countObjects(folder: string): number {
  let count = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) count += countObjects(join(folder, entry.name));
    else if (entry.isFile() && entry.name.endsWith(".o")) count++;
  }
  return count;
}
