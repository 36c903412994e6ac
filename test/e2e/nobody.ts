/** The unprivileged user that root's tests become, and a cache that this user fills from nothing. */

import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** uid and gid of `nobody` and `nogroup` on every distribution. */
export const NOBODY = 65534;

let cache: string | undefined;

/** Empty at first use; all tests of this process share it, and it goes with the process. */
export function nobodysCache(): string {
  if (cache === undefined) {
    const folder = mkdtempSync(join(tmpdir(), "uml-e2e-cache-"));
    chownSync(folder, NOBODY, NOBODY);
    process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
    cache = folder;
  }
  return cache;
}
