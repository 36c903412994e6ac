/**
 * Where blocks go: a file, files that rotate, or a FIFO whose reader may be slow. Runs in a thread of
 * its own (writer-thread.ts), so it may wait; the fabric never does.
 */

import { closeSync, constants, openSync, rmSync, writeSync } from "node:fs";
import { BLOCK_INTERFACE, BLOCK_SECTION } from "./pcapng.ts";

/** Bytes that go out in one call, or little more. */
const LONGEST_WRITE = 1 << 20;

export interface OutputSpec {
  /** A file that is made (or emptied), or a FIFO that is there. */
  readonly path: string;
  /** A new file after so many bytes: `lab.pcapng`, then `lab.1.pcapng`, … */
  readonly rotateBytes?: number;
  /** How many of them are kept, the newest; all unless told. */
  readonly keepFiles?: number;
}

/** `dir/lab.pcapng` and 3 to `dir/lab.3.pcapng`; number 0 is the path itself. */
export function rotatedPath(path: string, number: number): string {
  if (number === 0) return path;
  const match = /^(.*?)(\.[^./]+)?$/s.exec(path) as RegExpExecArray;
  return `${match[1]}.${number}${match[2] ?? ""}`;
}

export class Output {
  /** Bytes that went out so far. */
  out = 0;
  readonly #spec: OutputSpec;
  #fd: number;
  #written = 0;
  #number = 0;
  /** The section and the interfaces so far: each further file begins with them. */
  #heads: Uint8Array[] = [];
  /** Whether a packet stands in the file. */
  #begun = false;

  /** Throws ENXIO while a FIFO has no reader. */
  constructor(spec: OutputSpec) {
    this.#spec = spec;
    this.#fd = this.#open(0);
  }

  /** Writes some of the blocks, whole ones; answers how many bytes it took. */
  write(blocks: Uint8Array, pause: () => boolean): number {
    const { rotateBytes = Number.POSITIVE_INFINITY } = this.#spec;
    let end = 0;
    while (end < blocks.length && end < LONGEST_WRITE) {
      const type = readLe32(blocks, end);
      const length = readLe32(blocks, end + 4);
      if (type === BLOCK_SECTION || type === BLOCK_INTERFACE) {
        this.#heads.push(blocks.slice(end, end + length));
      } else if (this.#written + end + length > rotateBytes && this.#begun) {
        if (end > 0) break;
        this.#rotate(pause);
        this.#begun = true;
      } else {
        this.#begun = true;
      }
      end += length;
    }
    this.#writeAll(blocks.subarray(0, end), pause);
    this.#written += end;
    return end;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #open(number: number): number {
    const path = rotatedPath(this.#spec.path, number);
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK, O_NOFOLLOW } = constants;
    return openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOFOLLOW, 0o600);
  }

  #rotate(pause: () => boolean): void {
    closeSync(this.#fd);
    this.#fd = this.#open(++this.#number);
    const { keepFiles } = this.#spec;
    if (keepFiles !== undefined && this.#number >= keepFiles) {
      rmSync(rotatedPath(this.#spec.path, this.#number - keepFiles), { force: true });
    }
    this.#written = 0;
    for (const head of this.#heads) {
      this.#writeAll(head, pause);
      this.#written += head.length;
    }
  }

  #writeAll(bytes: Uint8Array, pause: () => boolean): void {
    for (let at = 0; at < bytes.length; ) {
      try {
        const wrote = writeSync(this.#fd, bytes, at);
        at += wrote;
        this.out += wrote;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || !pause()) throw error;
      }
    }
  }
}

const readLe32 = (b: Uint8Array, at: number): number =>
  (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;
