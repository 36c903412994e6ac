/**
 * What a guest may send where ports are forwarded to it and nothing more: answers. It opens no
 * connection to the outside, whatever routes its root makes.
 */

import { readU16 } from "./wire/bytes.ts";
import { ETHERNET_BYTES, ETHERNET_TYPE, ETHERTYPE_ARP, ETHERTYPE_IPV4 } from "./wire/ethernet.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "./wire/ipv4.ts";

const FRAGMENT_BITS = 0x3fff;
const TCP_SYN = 0x02;
const TCP_ACK = 0x10;

export class PortFilter {
  readonly #udp: ReadonlySet<number>;

  /** @param udp the guest's ports that are forwarded. */
  constructor(udp: readonly number[]) {
    this.#udp = new Set(udp);
  }

  /** Whether a frame, in one piece, may go out. */
  admits(b: Uint8Array, at: number, length: number): boolean {
    const type = readU16(b, at + ETHERNET_TYPE);
    if (type === ETHERTYPE_ARP) return true;
    if (type !== ETHERTYPE_IPV4 || length < ETHERNET_BYTES + 20) return false;
    const ip = at + ETHERNET_BYTES;
    const transport = ip + (b[ip]! & 0xf) * 4;
    const bytes = at + length - transport;
    // a fragment's ports are not known
    if ((readU16(b, ip + 6) & FRAGMENT_BITS) !== 0) return false;
    if (b[ip + 9] === PROTOCOL_TCP) {
      return bytes >= 20 && (b[transport + 13]! & (TCP_SYN | TCP_ACK)) !== TCP_SYN;
    }
    return b[ip + 9] === PROTOCOL_UDP && bytes >= 8 && this.#udp.has(readU16(b, transport));
  }
}
