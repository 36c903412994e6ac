/** The IPv4 header (RFC 791 §3.1). */

import type { IpAddress } from "../../base/addresses.ts";
import { readBig, readU16, writeBig, writeU16 } from "./bytes.ts";
import { foldSum, sumBytes, sumsUp } from "./checksum.ts";

export const IPV4_VERSION_LENGTH = 0;
export const IPV4_SERVICE = 1;
export const IPV4_TOTAL_LENGTH = 2;
export const IPV4_ID = 4;
export const IPV4_FRAGMENT = 6;
export const IPV4_TTL = 8;
export const IPV4_PROTOCOL = 9;
export const IPV4_CHECKSUM = 10;
export const IPV4_FROM = 12;
export const IPV4_TO = 16;
export const IPV4_BYTES = 20;

export const IPV4_DONT_FRAGMENT = 0x4000;
export const IPV4_MORE_FRAGMENTS = 0x2000;
export const IPV4_OFFSET_MASK = 0x1fff;

export const PROTOCOL_ICMP = 1;
export const PROTOCOL_IGMP = 2;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_ICMPV6 = 58;

export interface Ipv4 {
  readonly service: number;
  /** Header and payload. */
  readonly totalLength: number;
  readonly id: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** In bytes. */
  readonly fragmentOffset: number;
  readonly ttl: number;
  readonly protocol: number;
  readonly from: IpAddress;
  readonly to: IpAddress;
  /** Whole words; empty in almost every packet. */
  readonly options: Uint8Array;
}

/** Length of the header at `at`, or 0 where it is none. */
export function ipv4HeaderBytes(b: Uint8Array, at: number, end: number): number {
  if (end - at < IPV4_BYTES || b[at]! >> 4 !== 4) return 0;
  const bytes = (b[at]! & 0xf) * 4;
  return bytes < IPV4_BYTES || at + bytes > end ? 0 : bytes;
}

/**
 * The header, where its payload begins and ends, and whether its checksum is right; undefined where
 * a length is impossible.
 */
export function parseIpv4Header(
  b: Uint8Array,
  at = 0,
  end = b.length,
):
  | (Ipv4 & { readonly payload: number; readonly end: number; readonly checksumOk: boolean })
  | undefined {
  const bytes = ipv4HeaderBytes(b, at, end);
  if (bytes === 0) return undefined;
  const totalLength = readU16(b, at + IPV4_TOTAL_LENGTH);
  if (totalLength < bytes || at + totalLength > end) return undefined;
  const fragment = readU16(b, at + IPV4_FRAGMENT);
  return {
    service: b[at + IPV4_SERVICE]!,
    totalLength,
    id: readU16(b, at + IPV4_ID),
    dontFragment: (fragment & IPV4_DONT_FRAGMENT) !== 0,
    moreFragments: (fragment & IPV4_MORE_FRAGMENTS) !== 0,
    fragmentOffset: (fragment & IPV4_OFFSET_MASK) * 8,
    ttl: b[at + IPV4_TTL]!,
    protocol: b[at + IPV4_PROTOCOL]!,
    from: { family: 4, value: readBig(b, at + IPV4_FROM, 4) },
    to: { family: 4, value: readBig(b, at + IPV4_TO, 4) },
    options: b.slice(at + IPV4_BYTES, at + bytes),
    payload: at + bytes,
    end: at + totalLength,
    checksumOk: sumsUp(b, at, bytes),
  };
}

/** Writes the header with its checksum; answers where its payload goes. */
export function emitIpv4Header(value: Ipv4, b: Uint8Array, at = 0): number {
  const bytes = IPV4_BYTES + value.options.length;
  b[at + IPV4_VERSION_LENGTH] = 0x40 | (bytes / 4);
  b[at + IPV4_SERVICE] = value.service;
  writeU16(b, at + IPV4_TOTAL_LENGTH, value.totalLength);
  writeU16(b, at + IPV4_ID, value.id);
  writeU16(
    b,
    at + IPV4_FRAGMENT,
    (value.dontFragment ? IPV4_DONT_FRAGMENT : 0) |
      (value.moreFragments ? IPV4_MORE_FRAGMENTS : 0) |
      (value.fragmentOffset / 8),
  );
  b[at + IPV4_TTL] = value.ttl;
  b[at + IPV4_PROTOCOL] = value.protocol;
  writeBig(b, at + IPV4_FROM, 4, value.from.value);
  writeBig(b, at + IPV4_TO, 4, value.to.value);
  b.set(value.options, at + IPV4_BYTES);
  writeIpv4Checksum(b, at, bytes);
  return at + bytes;
}

export function writeIpv4Checksum(b: Uint8Array, at: number, bytes: number): void {
  writeU16(b, at + IPV4_CHECKSUM, 0);
  writeU16(b, at + IPV4_CHECKSUM, foldSum(sumBytes(b, at, bytes)));
}
