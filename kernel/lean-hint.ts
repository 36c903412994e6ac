/** A word, once in a cache's life, for labs that run on Debian's kernel. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { roomFolder } from "./cache/cache.ts";
import type { Kernel } from "./guest/spec.ts";

/** One line for a person, or undefined where there is nothing to say or it was said before. */
export function leanHint(auto: Kernel | undefined): string | undefined {
  if (auto === undefined || !auto.id.startsWith("debian-")) return undefined;
  try {
    writeFileSync(join(roomFolder("kernels"), ".lean-hint-given"), "", { flag: "wx" });
  } catch {
    return undefined; // given, or nothing can be written down
  }
  return "a lean kernel boots faster and has more of networking; it takes some minutes, once: uml-lab kernel build";
}
