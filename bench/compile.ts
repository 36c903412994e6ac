/** The programs of `bench/guest`, compiled with the machine's C compiler. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "../base/package-root.ts";

/** Its path. Throws where there is no compiler, or no static C library. */
export function compileForGuest(
  folder: string,
  source: string,
  name: string,
  flags: readonly string[],
): string {
  const output = join(folder, name);
  const from = join(packageRoot, "bench/guest", source);
  const result = spawnSync("cc", ["-O2", ...flags, "-o", output, from], { encoding: "utf8" });
  if (result.status !== 0) {
    throw new Error(
      `the bench needs a C compiler (apt-get install gcc libc6-dev): ${result.stderr}`,
    );
  }
  return output;
}
