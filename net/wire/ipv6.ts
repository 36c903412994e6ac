/** The IPv6 header and the walk over its extension headers (RFC 8200 §3 and §4). */

import type { IpAddress } from "../../base/addresses.ts";
import { readBig, readU16, readU32, writeBig, writeU16, writeU32 } from "./bytes.ts";

export const IPV6_VERSION_CLASS_FLOW = 0;
export const IPV6_PAYLOAD_LENGTH = 4;
export const IPV6_NEXT_HEADER = 6;
export const IPV6_HOP_LIMIT = 7;
export const IPV6_FROM = 8;
export const IPV6_TO = 24;
export const IPV6_BYTES = 40;

export const IPV6_HOP_BY_HOP = 0;
export const IPV6_ROUTING = 43;
export const IPV6_FRAGMENT = 44;
export const IPV6_AUTHENTICATION = 51;
export const IPV6_DESTINATION = 60;

/** More extension headers than this are nothing a kernel sends. */
const MOST_EXTENSIONS = 8;

export interface Ipv6 {
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly payloadLength: number;
  readonly nextHeader: number;
  readonly hopLimit: number;
  readonly from: IpAddress;
  readonly to: IpAddress;
}

/** Undefined where it is cut short or longer than the frame. */
export function parseIpv6Header(
  b: Uint8Array,
  at = 0,
  end = b.length,
): (Ipv6 & { readonly payload: number; readonly end: number }) | undefined {
  if (end - at < IPV6_BYTES || b[at]! >> 4 !== 6) return undefined;
  const payloadLength = readU16(b, at + IPV6_PAYLOAD_LENGTH);
  const payload = at + IPV6_BYTES;
  if (payload + payloadLength > end) return undefined;
  const first = readU32(b, at + IPV6_VERSION_CLASS_FLOW);
  return {
    trafficClass: (first >>> 20) & 0xff,
    flowLabel: first & 0xf_ffff,
    payloadLength,
    nextHeader: b[at + IPV6_NEXT_HEADER]!,
    hopLimit: b[at + IPV6_HOP_LIMIT]!,
    from: { family: 6, value: readBig(b, at + IPV6_FROM, 16) },
    to: { family: 6, value: readBig(b, at + IPV6_TO, 16) },
    payload,
    end: payload + payloadLength,
  };
}

/** Writes the header; answers where its payload goes. */
export function emitIpv6Header(value: Ipv6, b: Uint8Array, at = 0): number {
  writeU32(
    b,
    at + IPV6_VERSION_CLASS_FLOW,
    0x6000_0000 | (value.trafficClass << 20) | value.flowLabel,
  );
  writeU16(b, at + IPV6_PAYLOAD_LENGTH, value.payloadLength);
  b[at + IPV6_NEXT_HEADER] = value.nextHeader;
  b[at + IPV6_HOP_LIMIT] = value.hopLimit;
  writeBig(b, at + IPV6_FROM, 16, value.from.value);
  writeBig(b, at + IPV6_TO, 16, value.to.value);
  return at + IPV6_BYTES;
}

/** Where a walk over extension headers ended. One object is reused by its owner. */
export interface ExtensionWalk {
  protocol: number;
  at: number;
  fragmented: boolean;
  /** False in a fragment that is not the first: what stands at `at` is no header. */
  first: boolean;
}

/** Walks from the IPv6 header at `ip` to the first header that is no extension; false where cut. */
export function walkExtensions(
  b: Uint8Array,
  ip: number,
  end: number,
  walk: ExtensionWalk,
): boolean {
  walk.fragmented = false;
  walk.first = true;
  walk.protocol = b[ip + IPV6_NEXT_HEADER]!;
  walk.at = ip + IPV6_BYTES;
  for (let i = 0; i < MOST_EXTENSIONS; i++) {
    switch (walk.protocol) {
      case IPV6_HOP_BY_HOP:
      case IPV6_ROUTING:
      case IPV6_DESTINATION: {
        if (walk.at + 8 > end) return false;
        walk.protocol = b[walk.at]!;
        walk.at += (b[walk.at + 1]! + 1) * 8;
        break;
      }
      case IPV6_AUTHENTICATION: {
        if (walk.at + 8 > end) return false;
        walk.protocol = b[walk.at]!;
        walk.at += (b[walk.at + 1]! + 2) * 4;
        break;
      }
      case IPV6_FRAGMENT: {
        if (walk.at + 8 > end) return false;
        walk.fragmented = true;
        walk.protocol = b[walk.at]!;
        walk.first = (readU16(b, walk.at + 2) & 0xfff8) === 0;
        walk.at += 8;
        if (!walk.first) return walk.at <= end;
        break;
      }
      default:
        return walk.at <= end;
    }
  }
  return false;
}
