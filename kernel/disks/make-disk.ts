/**
 * A guest's private disk: a sparse file with an ext4 file system, made on the host without root. It
 * takes the room that its content needs, not its size.
 */

import { renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { LabError } from "../../base/errors.ts";
import { run } from "../packages/child.ts";

export interface MakeDiskOptions {
  readonly bytes: number;
  /** The program. */
  readonly mke2fs: string;
  readonly signal?: AbortSignal | undefined;
}

/** Whole, or not there. Throws NO_SPACE, BUILD_FAILED, the signal's reason. */
export async function makeDisk(path: string, options: MakeDiskOptions): Promise<void> {
  const { bytes, mke2fs, signal } = options;
  const part = `${path}.part`;
  try {
    writeFileSync(part, "", { mode: 0o600 });
    truncateSync(part, bytes);
    // No inode table is left for the guest to initialize. The file is new, so its journal is zeros.
    const extended = "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=1";
    const command = [mke2fs, "-q", "-F", "-t", "ext4", "-m", "0", "-E", extended, part];
    const { code, stderr } = await run(command, { signal });
    if (code !== 0) {
      throw new LabError(
        /No space left/.test(stderr) ? "NO_SPACE" : "BUILD_FAILED",
        `the disk ${path} could not be formatted: ${stderr.trim() || `status ${code}`}`,
      );
    }
    renameSync(part, path);
  } finally {
    rmSync(part, { force: true });
  }
}
