/** ICMP for IPv4 (RFC 792) and for IPv6 (RFC 4443, neighbour discovery RFC 4861). */

import type { IpAddress } from "../../base/addresses.ts";
import { readBig, readU32, writeU16, writeU32 } from "./bytes.ts";
import { foldSum, sumBytes, sumsUp } from "./checksum.ts";

export const ICMP_TYPE = 0;
export const ICMP_CODE = 1;
export const ICMP_CHECKSUM = 2;
/** Identifier and sequence of an echo; MTU of "too big"; reserved in others. */
export const ICMP_REST = 4;
export const ICMP_BYTES = 8;

export const ICMP4_ECHO_REPLY = 0;
export const ICMP4_UNREACHABLE = 3;
export const ICMP4_REDIRECT = 5;
export const ICMP4_ECHO = 8;
export const ICMP4_TIME_EXCEEDED = 11;
export const ICMP6_UNREACHABLE = 1;
export const ICMP6_TOO_BIG = 2;
export const ICMP6_TIME_EXCEEDED = 3;
export const ICMP6_ECHO = 128;
export const ICMP6_ECHO_REPLY = 129;
export const ICMP6_ROUTER_SOLICITATION = 133;
export const ICMP6_ROUTER_ADVERTISEMENT = 134;
export const ICMP6_NEIGHBOR_SOLICITATION = 135;
export const ICMP6_NEIGHBOR_ADVERTISEMENT = 136;

/** RFC 4861 §4.3 and §4.4: the address that is asked for stands behind the first 8 bytes. */
export const ICMP6_NEIGHBOR_TARGET = 8;

export interface Icmp {
  readonly type: number;
  readonly code: number;
  readonly rest: number;
  readonly data: Uint8Array;
}

/** @param pseudo the pseudo-header's sum for ICMPv6 (`pseudoSum6`), 0 for ICMPv4. */
export function parseIcmp(
  b: Uint8Array,
  at = 0,
  end = b.length,
  pseudo = 0,
): (Icmp & { readonly checksumOk: boolean }) | undefined {
  if (end - at < ICMP_BYTES) return undefined;
  return {
    type: b[at + ICMP_TYPE]!,
    code: b[at + ICMP_CODE]!,
    rest: readU32(b, at + ICMP_REST),
    data: b.slice(at + ICMP_BYTES, end),
    checksumOk: sumsUp(b, at, end - at, pseudo),
  };
}

/** Writes header, data and checksum; answers where it ends. */
export function emitIcmp(value: Icmp, b: Uint8Array, at = 0, pseudo = 0): number {
  const length = ICMP_BYTES + value.data.length;
  b[at + ICMP_TYPE] = value.type;
  b[at + ICMP_CODE] = value.code;
  writeU16(b, at + ICMP_CHECKSUM, 0);
  writeU32(b, at + ICMP_REST, value.rest);
  b.set(value.data, at + ICMP_BYTES);
  writeU16(b, at + ICMP_CHECKSUM, foldSum(sumBytes(b, at, length, pseudo)));
  return at + length;
}

export const echoIdentifier = ({ rest }: Icmp): number => rest >>> 16;
export const echoSequence = ({ rest }: Icmp): number => rest & 0xffff;

/** The address a neighbour solicitation or advertisement is about. */
export function neighborTarget(b: Uint8Array, at: number, end: number): IpAddress | undefined {
  if (end - at < ICMP6_NEIGHBOR_TARGET + 16) return undefined;
  return { family: 6, value: readBig(b, at + ICMP6_NEIGHBOR_TARGET, 16) };
}
