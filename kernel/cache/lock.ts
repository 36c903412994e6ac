/**
 * One holder at a time for each thing in the cache, across processes.
 *
 * The lock is flock(2) on a small file that also says who holds it, so that a waiting run can tell.
 * It ends with its holder: there are no stale locks and nothing to clean up. Children that write on
 * the holder's behalf inherit the descriptor (`Lock.fd`), so a killed run's orphans keep it until
 * they end. The files stay: removing a lock file would let two processes lock two files.
 */

import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { tryLock } from "./flock.ts";

const POLL_MS = 50;
/** A run's last children may hold the lock a moment longer than itself: not worth a word. */
const TELL_AFTER_MS = 500;

export interface Lock extends Disposable {
  /** Hand it to children that must not outlive the lock. */
  readonly fd: number;
}

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** What the holder does, for whoever waits: `building image base`. */
  readonly purpose: string;
  /** Called once if somebody else holds the lock, with who that is. */
  readonly onWait?: (holder: string) => void;
}

/** Waits for the lock on `path` (its folder is made). Rejects when the signal aborts. */
export async function acquireLock(path: string, options: LockOptions): Promise<Lock> {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, "a+", 0o644);
  try {
    for (let waitedMs = 0; !(await tryLock(fd)); waitedMs += POLL_MS) {
      if (waitedMs === TELL_AFTER_MS) {
        const holder = holderOf(path);
        // what this process itself is doing is told already
        if (!holder.startsWith(`process ${process.pid} `)) options.onWait?.(holder);
      }
      await sleep(POLL_MS, undefined, options.signal ? { signal: options.signal } : {});
    }
    options.signal?.throwIfAborted();
    ftruncateSync(fd);
    writeSync(fd, `process ${process.pid} (${options.purpose})\n`);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  let open = true;
  return {
    fd,
    [Symbol.dispose]() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

function holderOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim() || "another process";
  } catch {
    return "another process";
  }
}
