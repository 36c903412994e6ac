/**
 * A frame on its way: where its bytes stand (buffers in an arena), and the offload header it came
 * with. One object is reused for all frames of a NIC; whoever keeps a frame copies it.
 */

import type { Arena } from "./arena.ts";
import {
  NET_HDR_F_NEEDS_CSUM,
  NET_HDR_GSO_ECN,
  NET_HDR_GSO_NONE,
  NET_HDR_GSO_TCPV4,
  NET_HDR_GSO_TCPV6,
  NET_HDR_GSO_UDP_L4,
  NET_HEADER_BYTES,
} from "./virtio/constants.ts";
import { Chain } from "./virtio/virtqueue.ts";

export const ETHERNET_HEADER_BYTES = 14;
const LEAST_TCP4_HEADERS = ETHERNET_HEADER_BYTES + 20 + 20;
const LEAST_TCP6_HEADERS = ETHERNET_HEADER_BYTES + 40 + 20;
const LEAST_UDP4_HEADERS = ETHERNET_HEADER_BYTES + 20 + 8;

export class Frame {
  arena: Arena;
  /** The virtio-net header first, then the frame. */
  readonly chain = new Chain();
  /** Bytes of the frame, without the virtio-net header. */
  bytes = 0;
  flags = 0;
  gsoType = 0;
  headerBytes = 0;
  gsoSize = 0;
  checksumStart = 0;
  checksumOffset = 0;
  /** MAC addresses as numbers: the high 16 bits and the low 32. */
  toHigh = 0;
  toLow = 0;
  fromHigh = 0;
  fromLow = 0;
  etherType = 0;
  /** Whether the sender would rather wait than lose it. */
  patient = true;
  /** Links crossed; a frame that goes round and round ends. */
  hops = 0;
  readonly #head = new Uint8Array(NET_HEADER_BYTES + ETHERNET_HEADER_BYTES);

  constructor(arena: Arena) {
    this.arena = arena;
  }

  /** Frames on the wire: what a GSO frame would be cut into. */
  get wireFrames(): number {
    return this.gsoSize === 0
      ? 1
      : Math.max(1, Math.ceil((this.bytes - this.headerBytes) / this.gsoSize));
  }

  get wireBytes(): number {
    return this.gsoSize === 0 ? this.bytes : this.bytes + (this.wireFrames - 1) * this.headerBytes;
  }

  /** The longest frame of a wire that this must become, at the least: options are not looked at. */
  get leastWireBytes(): number {
    if (this.gsoSize === 0) return this.bytes;
    const kind = this.gsoType & ~NET_HDR_GSO_ECN;
    const headers =
      kind === NET_HDR_GSO_TCPV4
        ? LEAST_TCP4_HEADERS
        : kind === NET_HDR_GSO_TCPV6
          ? LEAST_TCP6_HEADERS
          : LEAST_UDP4_HEADERS;
    return Math.min(this.bytes, headers + this.gsoSize);
  }

  get isGroup(): boolean {
    return (this.toHigh & 0x100) !== 0;
  }

  /** Reads the headers of what `chain` holds; false where it is no frame. */
  parse(arena: Arena): boolean {
    const { chain } = this;
    this.arena = arena;
    this.hops = 0;
    const total = NET_HEADER_BYTES + ETHERNET_HEADER_BYTES;
    if (chain.bytes < total) return false;
    this.bytes = chain.bytes - NET_HEADER_BYTES;
    const first = chain.lengths[0]!;
    const { u8 } = arena;
    let head = u8;
    let at = chain.offsets[0]!;
    let frameAt: number;
    if (first >= total) {
      frameAt = at + NET_HEADER_BYTES;
    } else if (first === NET_HEADER_BYTES && chain.lengths[1]! >= ETHERNET_HEADER_BYTES) {
      frameAt = chain.offsets[1]!;
    } else {
      this.#gather(total);
      head = this.#head;
      at = 0;
      frameAt = NET_HEADER_BYTES;
    }
    this.flags = head[at]! & NET_HDR_F_NEEDS_CSUM;
    const gsoType = head[at + 1]!;
    this.gsoType = gsoType;
    if (gsoType === NET_HDR_GSO_NONE) {
      this.headerBytes = 0;
      this.gsoSize = 0;
    } else {
      const kind = gsoType & ~NET_HDR_GSO_ECN;
      this.headerBytes = head[at + 2]! | (head[at + 3]! << 8);
      this.gsoSize = head[at + 4]! | (head[at + 5]! << 8);
      if (
        (kind !== NET_HDR_GSO_TCPV4 && kind !== NET_HDR_GSO_TCPV6 && kind !== NET_HDR_GSO_UDP_L4) ||
        this.gsoSize === 0 ||
        this.headerBytes < ETHERNET_HEADER_BYTES ||
        this.headerBytes > this.bytes
      ) {
        return false;
      }
    }
    this.checksumStart = head[at + 6]! | (head[at + 7]! << 8);
    this.checksumOffset = head[at + 8]! | (head[at + 9]! << 8);
    if (this.flags !== 0 && this.checksumStart + this.checksumOffset + 2 > this.bytes) return false;
    const f = head === u8 ? u8 : this.#head;
    this.toHigh = (f[frameAt]! << 8) | f[frameAt + 1]!;
    this.toLow =
      (f[frameAt + 2]! << 24) | (f[frameAt + 3]! << 16) | (f[frameAt + 4]! << 8) | f[frameAt + 5]!;
    this.fromHigh = (f[frameAt + 6]! << 8) | f[frameAt + 7]!;
    this.fromLow =
      (f[frameAt + 8]! << 24) |
      (f[frameAt + 9]! << 16) |
      (f[frameAt + 10]! << 8) |
      f[frameAt + 11]!;
    this.etherType = (f[frameAt + 12]! << 8) | f[frameAt + 13]!;
    return true;
  }

  /** The two bytes behind an 802.1Q tag's type: priority and VLAN; -1 where the frame ends before. */
  get tagControl(): number {
    let before = NET_HEADER_BYTES + ETHERNET_HEADER_BYTES;
    let control = 0;
    let read = 0;
    const { chain, arena } = this;
    for (let i = 0; i < chain.count; i++) {
      const length = chain.lengths[i]!;
      for (let j = before; j < length; j++) {
        control = (control << 8) | arena.u8[chain.offsets[i]! + j]!;
        if (++read === 2) return control;
      }
      before = Math.max(0, before - length);
    }
    return -1;
  }

  #gather(total: number): void {
    const { chain, arena } = this;
    let filled = 0;
    for (let i = 0; i < chain.count && filled < total; i++) {
      const take = Math.min(chain.lengths[i]!, total - filled);
      for (let j = 0; j < take; j++) this.#head[filled + j] = arena.u8[chain.offsets[i]! + j]!;
      filled += take;
    }
  }
}
