/** The TCP header (RFC 9293 §3.1). */

import { readU16, readU32, writeU16, writeU32 } from "./bytes.ts";
import { foldSum, sumBytes, sumsUp } from "./checksum.ts";

export const TCP_FROM_PORT = 0;
export const TCP_TO_PORT = 2;
export const TCP_SEQUENCE = 4;
export const TCP_ACKNOWLEDGEMENT = 8;
/** Length in words in the high four bits. */
export const TCP_DATA_OFFSET = 12;
export const TCP_FLAGS = 13;
export const TCP_WINDOW = 14;
export const TCP_CHECKSUM = 16;
export const TCP_URGENT = 18;
export const TCP_BYTES = 20;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;
export const TCP_ECE = 0x40;
export const TCP_CWR = 0x80;

export interface Tcp {
  readonly fromPort: number;
  readonly toPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  /** Whole words. */
  readonly options: Uint8Array;
  readonly data: Uint8Array;
}

/** Length of the header at `at`, or 0 where it is none. */
export function tcpHeaderBytes(b: Uint8Array, at: number, end: number): number {
  if (end - at < TCP_BYTES) return 0;
  const bytes = (b[at + TCP_DATA_OFFSET]! >> 4) * 4;
  return bytes < TCP_BYTES || at + bytes > end ? 0 : bytes;
}

export function parseTcp(
  b: Uint8Array,
  at: number,
  end: number,
  pseudo: number,
): (Tcp & { readonly checksumOk: boolean }) | undefined {
  const bytes = tcpHeaderBytes(b, at, end);
  if (bytes === 0) return undefined;
  return {
    fromPort: readU16(b, at + TCP_FROM_PORT),
    toPort: readU16(b, at + TCP_TO_PORT),
    sequence: readU32(b, at + TCP_SEQUENCE),
    acknowledgement: readU32(b, at + TCP_ACKNOWLEDGEMENT),
    flags: b[at + TCP_FLAGS]!,
    window: readU16(b, at + TCP_WINDOW),
    urgent: readU16(b, at + TCP_URGENT),
    options: b.slice(at + TCP_BYTES, at + bytes),
    data: b.slice(at + bytes, end),
    checksumOk: sumsUp(b, at, end - at, pseudo),
  };
}

/** Writes header, options, data and checksum; answers where it ends. */
export function emitTcp(value: Tcp, b: Uint8Array, at: number, pseudo: number): number {
  const header = TCP_BYTES + value.options.length;
  const length = header + value.data.length;
  writeU16(b, at + TCP_FROM_PORT, value.fromPort);
  writeU16(b, at + TCP_TO_PORT, value.toPort);
  writeU32(b, at + TCP_SEQUENCE, value.sequence);
  writeU32(b, at + TCP_ACKNOWLEDGEMENT, value.acknowledgement);
  b[at + TCP_DATA_OFFSET] = (header / 4) << 4;
  b[at + TCP_FLAGS] = value.flags;
  writeU16(b, at + TCP_WINDOW, value.window);
  writeU16(b, at + TCP_URGENT, value.urgent);
  b.set(value.options, at + TCP_BYTES);
  b.set(value.data, at + header);
  writeTcpChecksum(b, at, length, pseudo);
  return at + length;
}

export function writeTcpChecksum(b: Uint8Array, at: number, length: number, pseudo: number): void {
  writeU16(b, at + TCP_CHECKSUM, 0);
  writeU16(b, at + TCP_CHECKSUM, foldSum(sumBytes(b, at, length, pseudo)));
}
