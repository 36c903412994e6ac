/** Big-endian numbers in a byte array, as networks write them. Callers check lengths first. */

export const readU16 = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!;

export const readU32 = (b: Uint8Array, at: number): number =>
  ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;

export function writeU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8;
  b[at + 1] = value;
}

export function writeU32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

/** `length` bytes as one number, for addresses. */
export function readBig(b: Uint8Array, at: number, length: number): bigint {
  let value = 0n;
  for (let i = 0; i < length; i++) value = (value << 8n) | BigInt(b[at + i]!);
  return value;
}

export function writeBig(b: Uint8Array, at: number, length: number, value: bigint): void {
  let rest = value;
  for (let i = length - 1; i >= 0; i--) {
    b[at + i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
}
