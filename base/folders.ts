/**
 * The three places where uml-lab writes: the cache (kernels, images), the run folder (running labs)
 * and, where guests have disks, the data folder. Nothing else is written.
 */

import { lstatSync } from "node:fs";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { LabError } from "./errors.ts";

/** `$UML_LAB_CACHE`, else `$XDG_CACHE_HOME/uml-lab`, else `~/.cache/uml-lab`. Not created. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.UML_LAB_CACHE) return env.UML_LAB_CACHE;
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, "uml-lab");
  return join(homedir(), ".cache", "uml-lab");
}

/**
 * `$UML_LAB_DATA`, else `$XDG_DATA_HOME/uml-lab`, else `~/.local/share/uml-lab`: what must not be
 * thrown away like a cache. Not created; there only while something is in it.
 */
export function dataFolder(env: NodeJS.ProcessEnv = process.env): string {
  if (env.UML_LAB_DATA) return env.UML_LAB_DATA;
  if (env.XDG_DATA_HOME) return join(env.XDG_DATA_HOME, "uml-lab");
  return join(homedir(), ".local", "share", "uml-lab");
}

/**
 * `$XDG_RUNTIME_DIR/uml-lab`, else `/tmp/uml-lab-UID`: there only while a lab is. Refuses a folder
 * that somebody else could have put there. Kept short: unix socket paths end at 108 bytes.
 */
export function runFolder(env: NodeJS.ProcessEnv = process.env): string {
  const { uid } = userInfo();
  const path = env.XDG_RUNTIME_DIR
    ? join(env.XDG_RUNTIME_DIR, "uml-lab")
    : join(tmpdir(), `uml-lab-${uid}`);
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return path;
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o077) !== 0) {
    throw new LabError("NO_RIGHT", `the run folder ${path} is not a private folder of yours`, {
      hint: `remove it, or set XDG_RUNTIME_DIR to a folder of your own`,
    });
  }
  return path;
}
