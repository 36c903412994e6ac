/**
 * The internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit
 * words. Sums are kept unfolded in a number and stay below 2^53 for any frame.
 */

import { writeU16 } from "./bytes.ts";

/** Adds `length` bytes to `sum`; an odd last byte counts as the high half of a word. */
export function sumBytes(b: Uint8Array, at: number, length: number, sum = 0): number {
  const even = at + (length & ~1);
  let total = sum;
  // 16384 words of 0xffff fit the 31 bits in which V8 adds small integers without a check.
  for (let i = at; i < even; ) {
    const stop = Math.min(even, i + 32_768);
    let part = 0;
    for (; i < stop; i += 2) part += (b[i]! << 8) | b[i + 1]!;
    total += part;
  }
  return length & 1 ? total + (b[even]! << 8) : total;
}

/** The checksum field for a sum: folded and complemented. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = Math.floor(folded / 0x1_0000) + (folded & 0xffff);
  return ~folded & 0xffff;
}

/** RFC 768 §"Fields": the pseudo-header of IPv4, from the header at `ip`. */
export function pseudoSum4(b: Uint8Array, ip: number, protocol: number, length: number): number {
  return sumBytes(b, ip + 12, 8, protocol + length);
}

/** RFC 8200 §8.1: the pseudo-header of IPv6, from the header at `ip`. */
export function pseudoSum6(b: Uint8Array, ip: number, protocol: number, length: number): number {
  return sumBytes(b, ip + 8, 32, protocol + (length >>> 16) + (length & 0xffff));
}

/**
 * Completes a partial checksum: the field holds the pseudo-header's sum, everything from `start` to
 * the end is added. Never 0, which UDP reads as "none". False where the places don't lie inside.
 * Source: virtio 1.2 §5.1.6.2, VIRTIO_NET_HDR_F_NEEDS_CSUM.
 */
export function completeChecksum(
  b: Uint8Array,
  at: number,
  length: number,
  start: number,
  offset: number,
): boolean {
  if (start < 14 || start + offset + 2 > length) return false;
  const value = foldSum(sumBytes(b, at + start, length - start));
  writeU16(b, at + start + offset, value === 0 ? 0xffff : value);
  return true;
}

/** Whether a header with its own checksum in it sums up. */
export const sumsUp = (b: Uint8Array, at: number, length: number, pseudo = 0): boolean =>
  foldSum(sumBytes(b, at, length, pseudo)) === 0;
