/** Where the package's own files stand (C sources, schema, kernel fragments), built or not. */

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("no package.json above base/package-root");
    folder = parent;
  }
  return folder;
}

/** Absolute path of the folder that holds package.json. */
export const packageRoot: string = findRoot();
