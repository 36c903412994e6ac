/** ARP for IPv4 on Ethernet (RFC 826): 28 bytes, no options. */

import type { IpAddress } from "../../base/addresses.ts";
import { readBig, readU16, writeBig, writeU16 } from "./bytes.ts";
import { ETHERTYPE_IPV4 } from "./ethernet.ts";

export const ARP_HARDWARE = 0;
export const ARP_PROTOCOL = 2;
export const ARP_SIZES = 4;
export const ARP_OPERATION = 6;
export const ARP_SENDER_MAC = 8;
export const ARP_SENDER_IP = 14;
export const ARP_TARGET_MAC = 18;
export const ARP_TARGET_IP = 24;
export const ARP_BYTES = 28;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

export interface Arp {
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly senderIp: IpAddress;
  readonly targetMac: Uint8Array;
  readonly targetIp: IpAddress;
}

/** Undefined where it is cut short, or not IPv4 on Ethernet. */
export function parseArp(b: Uint8Array, at = 0, end = b.length): Arp | undefined {
  if (end - at < ARP_BYTES) return undefined;
  if (readU16(b, at + ARP_HARDWARE) !== 1) return undefined;
  if (readU16(b, at + ARP_PROTOCOL) !== ETHERTYPE_IPV4) return undefined;
  if (readU16(b, at + ARP_SIZES) !== 0x0604) return undefined;
  return {
    operation: readU16(b, at + ARP_OPERATION),
    senderMac: b.slice(at + ARP_SENDER_MAC, at + ARP_SENDER_IP),
    senderIp: { family: 4, value: readBig(b, at + ARP_SENDER_IP, 4) },
    targetMac: b.slice(at + ARP_TARGET_MAC, at + ARP_TARGET_IP),
    targetIp: { family: 4, value: readBig(b, at + ARP_TARGET_IP, 4) },
  };
}

export function emitArp(value: Arp, b: Uint8Array, at = 0): number {
  writeU16(b, at + ARP_HARDWARE, 1);
  writeU16(b, at + ARP_PROTOCOL, ETHERTYPE_IPV4);
  writeU16(b, at + ARP_SIZES, 0x0604);
  writeU16(b, at + ARP_OPERATION, value.operation);
  b.set(value.senderMac, at + ARP_SENDER_MAC);
  writeBig(b, at + ARP_SENDER_IP, 4, value.senderIp.value);
  b.set(value.targetMac, at + ARP_TARGET_MAC);
  writeBig(b, at + ARP_TARGET_IP, 4, value.targetIp.value);
  return at + ARP_BYTES;
}
