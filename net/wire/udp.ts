/** The UDP header (RFC 768). */

import { readU16, writeU16 } from "./bytes.ts";
import { foldSum, sumBytes, sumsUp } from "./checksum.ts";

export const UDP_FROM_PORT = 0;
export const UDP_TO_PORT = 2;
export const UDP_LENGTH = 4;
export const UDP_CHECKSUM = 6;
export const UDP_BYTES = 8;

export interface Udp {
  readonly fromPort: number;
  readonly toPort: number;
  readonly data: Uint8Array;
}

/** Undefined where a length is impossible. A checksum of 0 says that there is none (IPv4 only). */
export function parseUdp(
  b: Uint8Array,
  at: number,
  end: number,
  pseudo: number,
): (Udp & { readonly checksumOk: boolean }) | undefined {
  if (end - at < UDP_BYTES) return undefined;
  const length = readU16(b, at + UDP_LENGTH);
  if (length < UDP_BYTES || at + length > end) return undefined;
  return {
    fromPort: readU16(b, at + UDP_FROM_PORT),
    toPort: readU16(b, at + UDP_TO_PORT),
    data: b.slice(at + UDP_BYTES, at + length),
    checksumOk: readU16(b, at + UDP_CHECKSUM) === 0 || sumsUp(b, at, length, pseudo),
  };
}

/** Writes header, data and checksum; answers where it ends. */
export function emitUdp(value: Udp, b: Uint8Array, at: number, pseudo: number): number {
  const length = UDP_BYTES + value.data.length;
  writeU16(b, at + UDP_FROM_PORT, value.fromPort);
  writeU16(b, at + UDP_TO_PORT, value.toPort);
  writeU16(b, at + UDP_LENGTH, length);
  b.set(value.data, at + UDP_BYTES);
  writeUdpChecksum(b, at, length, pseudo);
  return at + length;
}

/** A sum of 0 is written as 0xffff: 0 would say that there is no checksum. */
export function writeUdpChecksum(b: Uint8Array, at: number, length: number, pseudo: number): void {
  writeU16(b, at + UDP_CHECKSUM, 0);
  const value = foldSum(sumBytes(b, at, length, pseudo));
  writeU16(b, at + UDP_CHECKSUM, value === 0 ? 0xffff : value);
}
