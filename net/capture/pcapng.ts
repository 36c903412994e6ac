/**
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian: a section, an interface for each
 * port, a packet with its fate as a comment, and statistics at the end.
 *
 *     | type 4 | length 4 | body, padded to 4 | length 4 |      options: | code 2 | length 2 | value |
 */

export const BLOCK_SECTION = 0x0a0d0d0a;
export const BLOCK_INTERFACE = 1;
export const BLOCK_STATISTICS = 5;
export const BLOCK_PACKET = 6;

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const LINKTYPE_ETHERNET = 1;
const OPTION_COMMENT = 1;
const OPTION_IF_NAME = 2;
const OPTION_IF_DESCRIPTION = 3;
const OPTION_SECTION_APPLICATION = 4;
const OPTION_IF_RESOLUTION = 9;
const OPTION_PACKET_FLAGS = 2;
const OPTION_STATISTICS_RECEIVED = 4;
const OPTION_STATISTICS_DROPPED = 5;
const NANOSECONDS = 9;

/** Directions of a packet, seen from its interface. */
export const INBOUND = 1;
export const OUTBOUND = 2;

const padded = (bytes: number): number => (bytes + 3) & ~3;

function block(type: number, body: Buffer): Buffer {
  const length = 12 + padded(body.length);
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt32LE(length, 4);
  body.copy(bytes, 8);
  bytes.writeUInt32LE(length, length - 4);
  return bytes;
}

function option(code: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + padded(value.length));
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt16LE(value.length, 2);
  bytes.set(value, 4);
  return bytes;
}

const END_OF_OPTIONS = Buffer.alloc(4);

export function sectionBlock(application: string): Buffer {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
  head.writeUInt16LE(1, 4);
  // version 1.0, a length that is not known: all ones
  head.fill(0xff, 8, 16);
  return block(
    BLOCK_SECTION,
    Buffer.concat([
      head,
      option(OPTION_SECTION_APPLICATION, Buffer.from(application)),
      END_OF_OPTIONS,
    ]),
  );
}

export interface CaptureInterface {
  readonly name: string;
  readonly description: string;
  /** 0: whole frames. */
  readonly snapLength: number;
}

export function interfaceBlock({ name, description, snapLength }: CaptureInterface): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16LE(LINKTYPE_ETHERNET, 0);
  head.writeUInt32LE(snapLength, 4);
  return block(
    BLOCK_INTERFACE,
    Buffer.concat([
      head,
      option(OPTION_IF_NAME, Buffer.from(name)),
      option(OPTION_IF_DESCRIPTION, Buffer.from(description)),
      option(OPTION_IF_RESOLUTION, Buffer.from([NANOSECONDS])),
      END_OF_OPTIONS,
    ]),
  );
}

/** Bytes of a block of statistics. */
export const STATISTICS_BYTES = 52;

/** What the interface received, and how much of it is not in the file. */
export function statisticsBlock(
  id: number,
  timeNs: bigint,
  received: number,
  dropped: number,
): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32LE(id, 0);
  head.writeUInt32LE(Number(timeNs >> 32n), 4);
  head.writeUInt32LE(Number(timeNs & 0xffff_ffffn), 8);
  const count = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
  };
  return block(
    BLOCK_STATISTICS,
    Buffer.concat([
      head,
      option(OPTION_STATISTICS_RECEIVED, count(received)),
      option(OPTION_STATISTICS_DROPPED, count(dropped)),
      END_OF_OPTIONS,
    ]),
  );
}

/** Nanoseconds since 1970 exceed 2^53: kept as a start and a span, added in halves of 32 bits. */
export class CaptureClock {
  readonly #high: number;
  readonly #low: number;
  high = 0;
  low = 0;

  /** @param startNs nanoseconds since 1970 at time 0 of the caller's clock. */
  constructor(startNs: bigint) {
    this.#high = Number(startNs >> 32n);
    this.#low = Number(startNs & 0xffff_ffffn);
  }

  /** Sets `high` and `low` for a time of the caller's clock, in whole nanoseconds. */
  at(ns: number): void {
    const low = this.#low + (ns % 0x1_0000_0000);
    const carry = low >= 0x1_0000_0000 ? 1 : 0;
    this.low = low - carry * 0x1_0000_0000;
    this.high = this.#high + Math.floor(ns / 0x1_0000_0000) + carry;
  }

  bigintAt(ns: number): bigint {
    this.at(ns);
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }
}

/** Bytes of a packet's block. @param comment its text in UTF-8, or none. */
export function packetBlockBytes(captured: number, comment: Uint8Array | undefined): number {
  const options = 8 + 4 + (comment === undefined ? 0 : 4 + padded(comment.length));
  return 8 + 20 + padded(captured) + options + 4;
}

/** Where the captured bytes go in a packet's block. */
export const PACKET_DATA = 28;

/** Writes all of a packet's block but its data, which stands at `at + PACKET_DATA`. */
export function writePacketBlock(
  into: DataView,
  at: number,
  id: number,
  clock: CaptureClock,
  captured: number,
  original: number,
  direction: number,
  comment: Uint8Array | undefined,
): void {
  const length = packetBlockBytes(captured, comment);
  into.setUint32(at, BLOCK_PACKET, true);
  into.setUint32(at + 4, length, true);
  into.setUint32(at + 8, id, true);
  into.setUint32(at + 12, clock.high, true);
  into.setUint32(at + 16, clock.low, true);
  into.setUint32(at + 20, captured, true);
  into.setUint32(at + 24, original, true);
  let next = at + PACKET_DATA + captured;
  const end = at + PACKET_DATA + padded(captured);
  for (; next < end; next++) into.setUint8(next, 0);
  if (comment !== undefined) {
    into.setUint16(next, OPTION_COMMENT, true);
    into.setUint16(next + 2, comment.length, true);
    next += 4;
    for (let i = 0; i < padded(comment.length); i++) into.setUint8(next + i, comment[i] ?? 0);
    next += padded(comment.length);
  }
  into.setUint16(next, OPTION_PACKET_FLAGS, true);
  into.setUint16(next + 2, 4, true);
  into.setUint32(next + 4, direction, true);
  into.setUint32(next + 8, 0, true);
  into.setUint32(next + 12, length, true);
}
