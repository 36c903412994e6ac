/** What the mock driver needs of the C library beyond what the fabric itself uses. */

import koffi from "koffi";
import * as libc from "../../../net/libc/libc.ts";

const functions = {
  socketpair: koffi
    .load("libc.so.6")
    .func("int socketpair(int domain, int type, int protocol, void *fds)"),
};

/** Two ends of a unix stream connection: no file, no name. */
export function socketpair(): [number, number] {
  const fds = Buffer.alloc(8);
  const type = libc.SOCK_STREAM | libc.SOCK_NONBLOCK | libc.SOCK_CLOEXEC;
  if (functions.socketpair(libc.AF_UNIX, type, 0, fds) !== 0) throw new Error("no socketpair");
  return [fds.readInt32LE(0), fds.readInt32LE(4)];
}

/** A memory file, mapped: what a guest's RAM is to both sides. */
export class SharedMemory implements Disposable {
  readonly fd: number;
  readonly bytes: number;
  readonly buffer: ArrayBuffer;
  readonly #address: number;
  #mapped = true;

  constructor(bytes: number) {
    this.bytes = bytes;
    this.fd = libc.memfd("mock-guest", bytes);
    const access = libc.PROT_READ | libc.PROT_WRITE;
    this.#address = libc.mmap(0, bytes, access, libc.MAP_SHARED, this.fd, 0);
    this.buffer = libc.viewOf(this.#address, bytes);
  }

  /** Nobody may look at `buffer` afterwards. */
  [Symbol.dispose](): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    libc.munmap(this.#address, this.bytes);
    libc.close(this.fd);
  }
}
