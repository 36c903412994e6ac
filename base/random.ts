/**
 * Seeded randomness. Every random choice of a lab comes from its seed through named streams, so
 * that adding one choice does not move the others. Not for secrets.
 *
 * xoshiro128** (Blackman and Vigna, 2018), seeded through a hash of the seed and the stream's name.
 */

import { createHash } from "node:crypto";

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed the lab's seed. @param stream what the numbers are for, e.g. `mac:alice:eth0`. */
  constructor(seed: number, stream: string) {
    const digest = createHash("sha256").update(`${seed}\0${stream}`).digest();
    this.#a = digest.readUInt32LE(0);
    this.#b = digest.readUInt32LE(4);
    this.#c = digest.readUInt32LE(8);
    this.#d = digest.readUInt32LE(12) | 1;
  }

  /** Uniform in 0 … 2^32 - 1. */
  uint32(): number {
    const x = Math.imul(this.#b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** Uniform in [0, 1), 32 bits of it. */
  float(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** Uniform integer in 0 … below - 1. */
  below(below: number): number {
    return Math.floor(this.float() * below);
  }
}

/** The seed of a lab that names none: a hash of its name, 0 … 2^32 - 1. */
export function seedOfName(name: string): number {
  return createHash("sha256").update(name).digest().readUInt32LE(0);
}
