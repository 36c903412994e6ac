/**
 * flock(2), which Node lacks: a lock that the operating system drops when its last holder dies,
 * however it dies. The descriptor can be handed to child processes, and then the lock holds until
 * they are gone too. koffi is loaded on first use only: a warm cache never needs it.
 */

import { constants } from "node:os";

// linux: include/uapi/asm-generic/fcntl.h
const LOCK_EX = 2;
const LOCK_NB = 4;

type Flock = (fd: number, operation: number) => number;
let loaded: Promise<{ flock: Flock; errno: () => number }> | undefined;

async function load() {
  const { default: koffi } = await import("koffi");
  const flock = koffi.load("libc.so.6").func("int flock(int fd, int operation)") as Flock;
  return { flock, errno: () => koffi.errno() };
}

/** Tries to take an exclusive lock on an open file. False: somebody else has it. */
export async function tryLock(fd: number): Promise<boolean> {
  loaded ??= load();
  const { flock, errno } = await loaded;
  for (;;) {
    if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
    const code = errno();
    if (code === constants.errno.EWOULDBLOCK) return false;
    if (code !== constants.errno.EINTR) throw new Error(`flock failed with errno ${code}`);
  }
}
