/**
 * Ethernet II with 802.1Q tags (IEEE 802.3 §3.1.1, 802.1Q §9).
 *
 *     | to 6 | from 6 | [0x8100 | priority 3, drop 1, VLAN 12] | type 2 | payload
 */

import { readU16, writeU16 } from "./bytes.ts";

export const ETHERNET_TO = 0;
export const ETHERNET_FROM = 6;
export const ETHERNET_TYPE = 12;
export const ETHERNET_BYTES = 14;
export const VLAN_TAG_BYTES = 4;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
/** 802.1ad: the outer of two tags. */
export const ETHERTYPE_SERVICE_VLAN = 0x88a8;

export interface VlanTag {
  readonly priority: number;
  readonly dropEligible: boolean;
  readonly vlan: number;
}

export interface Ethernet {
  readonly to: Uint8Array;
  readonly from: Uint8Array;
  readonly tag?: VlanTag;
  readonly type: number;
}

export const ethernetBytes = (value: Ethernet): number =>
  ETHERNET_BYTES + (value.tag === undefined ? 0 : VLAN_TAG_BYTES);

/** The header and where its payload begins; undefined where it is cut short. Looks at one tag. */
export function parseEthernet(
  b: Uint8Array,
  at = 0,
  end = b.length,
): (Ethernet & { readonly payload: number }) | undefined {
  if (end - at < ETHERNET_BYTES) return undefined;
  const to = b.slice(at, at + 6);
  const from = b.slice(at + ETHERNET_FROM, at + ETHERNET_FROM + 6);
  const type = readU16(b, at + ETHERNET_TYPE);
  if (type !== ETHERTYPE_VLAN) return { to, from, type, payload: at + ETHERNET_BYTES };
  if (end - at < ETHERNET_BYTES + VLAN_TAG_BYTES) return undefined;
  const control = readU16(b, at + ETHERNET_BYTES);
  return {
    to,
    from,
    tag: {
      priority: control >> 13,
      dropEligible: (control & 0x1000) !== 0,
      vlan: control & 0xfff,
    },
    type: readU16(b, at + ETHERNET_BYTES + 2),
    payload: at + ETHERNET_BYTES + VLAN_TAG_BYTES,
  };
}

/** Writes the header; answers where its payload goes. */
export function emitEthernet(value: Ethernet, b: Uint8Array, at = 0): number {
  b.set(value.to, at + ETHERNET_TO);
  b.set(value.from, at + ETHERNET_FROM);
  let next = at + ETHERNET_TYPE;
  if (value.tag !== undefined) {
    const { priority, dropEligible, vlan } = value.tag;
    writeU16(b, next, ETHERTYPE_VLAN);
    writeU16(b, next + 2, (priority << 13) | (dropEligible ? 0x1000 : 0) | vlan);
    next += VLAN_TAG_BYTES;
  }
  writeU16(b, next, value.type);
  return next + 2;
}
