/**
 * Where the layers of a frame stand: found once, without allocating, for whoever asks many
 * questions of each frame (segmentation, filters, tracing). One object is reused for all frames.
 */

import { readU16 } from "./bytes.ts";
import {
  ETHERNET_BYTES,
  ETHERNET_TYPE,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_SERVICE_VLAN,
  ETHERTYPE_VLAN,
  VLAN_TAG_BYTES,
} from "./ethernet.ts";
import {
  IPV4_FRAGMENT,
  IPV4_MORE_FRAGMENTS,
  IPV4_OFFSET_MASK,
  IPV4_PROTOCOL,
  IPV4_TOTAL_LENGTH,
  ipv4HeaderBytes,
} from "./ipv4.ts";
import { type ExtensionWalk, IPV6_BYTES, IPV6_PAYLOAD_LENGTH, walkExtensions } from "./ipv6.ts";

/** 802.1ad allows two tags; more are no network that we know. */
const MOST_TAGS = 2;

export class Layers {
  bytes: Uint8Array = new Uint8Array(0);
  /** The frame's first byte and the one behind its last. */
  at = 0;
  end = 0;
  /** The type behind all tags, and the inner tag's VLAN (-1 without a tag). */
  etherType = 0;
  vlan = -1;
  /** 4, 6, or 0 where the payload is no well-formed IP. */
  family: 0 | 4 | 6 = 0;
  network = 0;
  /** The end that the IP header gives; a short frame may be padded behind it. */
  networkEnd = 0;
  protocol = -1;
  /** Where the transport header stands; -1 where there is none (later fragments). */
  transport = -1;
  fragmented = false;
  readonly #walk: ExtensionWalk = { protocol: 0, at: 0, fragmented: false, first: true };

  /** False where it is no Ethernet frame. */
  find(bytes: Uint8Array, at: number, length: number): boolean {
    this.bytes = bytes;
    this.at = at;
    this.end = at + length;
    this.family = 0;
    this.vlan = -1;
    this.protocol = -1;
    this.transport = -1;
    this.fragmented = false;
    if (length < ETHERNET_BYTES) return false;
    let typeAt = at + ETHERNET_TYPE;
    let type = readU16(bytes, typeAt);
    for (
      let tags = 0;
      tags < MOST_TAGS &&
      (type === ETHERTYPE_VLAN || type === ETHERTYPE_SERVICE_VLAN) &&
      typeAt + 2 + VLAN_TAG_BYTES <= this.end;
      tags++
    ) {
      this.vlan = readU16(bytes, typeAt + 2) & 0xfff;
      typeAt += VLAN_TAG_BYTES;
      type = readU16(bytes, typeAt);
    }
    this.etherType = type;
    this.network = typeAt + 2;
    this.networkEnd = this.end;
    if (type === ETHERTYPE_IPV4) this.#findIpv4();
    else if (type === ETHERTYPE_IPV6) this.#findIpv6();
    return true;
  }

  #findIpv4(): void {
    const { bytes, network } = this;
    const header = ipv4HeaderBytes(bytes, network, this.end);
    if (header === 0) return;
    const total = readU16(bytes, network + IPV4_TOTAL_LENGTH);
    if (total < header || network + total > this.end) return;
    this.family = 4;
    this.networkEnd = network + total;
    this.protocol = bytes[network + IPV4_PROTOCOL]!;
    const fragment = readU16(bytes, network + IPV4_FRAGMENT);
    this.fragmented = (fragment & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) !== 0;
    if ((fragment & IPV4_OFFSET_MASK) === 0) this.transport = network + header;
  }

  #findIpv6(): void {
    const { bytes, network } = this;
    if (this.end - network < IPV6_BYTES || bytes[network]! >> 4 !== 6) return;
    const end = network + IPV6_BYTES + readU16(bytes, network + IPV6_PAYLOAD_LENGTH);
    if (end > this.end) return;
    const walk = this.#walk;
    if (!walkExtensions(bytes, network, end, walk)) return;
    this.family = 6;
    this.networkEnd = end;
    this.protocol = walk.protocol;
    this.fragmented = walk.fragmented;
    if (walk.first) this.transport = walk.at;
  }
}
