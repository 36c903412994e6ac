/**
 * The header that virtio puts before each frame (virtio 1.2 §5.1.6, `struct virtio_net_hdr`):
 * 12 bytes, little-endian. Its numbers come from guests: nothing here trusts them.
 */

export const NET_HEADER_BYTES = 12;
export const NET_FLAGS = 0;
export const NET_GSO_TYPE = 1;
export const NET_HEADER_LENGTH = 2;
export const NET_GSO_SIZE = 4;
export const NET_CHECKSUM_START = 6;
export const NET_CHECKSUM_OFFSET = 8;
export const NET_BUFFERS = 10;

export const NET_NEEDS_CHECKSUM = 1;
export const NET_DATA_VALID = 2;

export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_UDP = 3;
export const GSO_TCPV6 = 4;
export const GSO_UDP_L4 = 5;
export const GSO_ECN = 0x80;

/** What the header says about the frame behind it. */
export interface Offload {
  readonly flags: number;
  readonly gsoType: number;
  /** A hint that the device must not rely on (§5.1.6.2.2). */
  readonly headerBytes: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

const readLe16 = (b: Uint8Array, at: number): number => b[at]! | (b[at + 1]! << 8);

function writeLe16(b: Uint8Array, at: number, value: number): void {
  b[at] = value;
  b[at + 1] = value >>> 8;
}

export function parseOffload(b: Uint8Array, at = 0, end = b.length): Offload | undefined {
  if (end - at < NET_HEADER_BYTES) return undefined;
  return {
    flags: b[at + NET_FLAGS]!,
    gsoType: b[at + NET_GSO_TYPE]!,
    headerBytes: readLe16(b, at + NET_HEADER_LENGTH),
    gsoSize: readLe16(b, at + NET_GSO_SIZE),
    checksumStart: readLe16(b, at + NET_CHECKSUM_START),
    checksumOffset: readLe16(b, at + NET_CHECKSUM_OFFSET),
  };
}

/** Writes the header for one receive buffer; answers where the frame goes. */
export function emitOffload(value: Offload, b: Uint8Array, at = 0): number {
  b[at + NET_FLAGS] = value.flags;
  b[at + NET_GSO_TYPE] = value.gsoType;
  writeLe16(b, at + NET_HEADER_LENGTH, value.headerBytes);
  writeLe16(b, at + NET_GSO_SIZE, value.gsoSize);
  writeLe16(b, at + NET_CHECKSUM_START, value.checksumStart);
  writeLe16(b, at + NET_CHECKSUM_OFFSET, value.checksumOffset);
  writeLe16(b, at + NET_BUFFERS, 1);
  return at + NET_HEADER_BYTES;
}
