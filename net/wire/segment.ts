/**
 * Cuts what a guest sends with segmentation offload into the frames a wire would carry, and
 * completes checksums that were left to the device. Nothing is allocated: the caller gives the frame
 * in one piece and a buffer for each segment.
 *
 *     | headers | ........ payload of up to 64 KB ........ |     begin()
 *     | headers' | gsoSize |   | headers' | gsoSize | ...         next(), next(), ... 0
 *
 * As a network card does it: IPv4 ids count up, TCP sequence numbers move on, FIN and PSH stand in
 * the last segment only, CWR in the first only (RFC 3168 §6.1.2); lengths and checksums are those of
 * each segment. Source: virtio 1.2 §5.1.6.2; what must not be trusted is checked against the frame.
 */

import { readU16, readU32, writeU16, writeU32 } from "./bytes.ts";
import { completeChecksum, pseudoSum4, pseudoSum6 } from "./checksum.ts";
import { ETHERNET_BYTES } from "./ethernet.ts";
import {
  IPV4_ID,
  IPV4_TOTAL_LENGTH,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  writeIpv4Checksum,
} from "./ipv4.ts";
import { IPV6_BYTES, IPV6_PAYLOAD_LENGTH } from "./ipv6.ts";
import { Layers } from "./layers.ts";
import {
  TCP_CWR,
  TCP_FIN,
  TCP_FLAGS,
  TCP_PSH,
  TCP_SEQUENCE,
  tcpHeaderBytes,
  writeTcpChecksum,
} from "./tcp.ts";
import { UDP_BYTES, UDP_LENGTH, writeUdpChecksum } from "./udp.ts";
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  NET_NEEDS_CHECKSUM,
  type Offload,
} from "./virtio-net.ts";

/** 64 KB in pieces of 8 bytes, Linux's least (TCP_MIN_GSO_SIZE): more would be an attack. */
const MOST_SEGMENTS = 8192;

export class Segmenter {
  /** How many frames `next` will write. */
  count = 0;
  /** The longest of them. */
  longest = 0;
  readonly #layers = new Layers();
  #source: Uint8Array = this.#layers.bytes;
  #at = 0;
  #headers = 0;
  #payload = 0;
  #size = 0;
  #sent = 0;
  #index = 0;
  /** From the frame's first byte. */
  #network = 0;
  #transport = 0;
  #sequence = 0;
  #id = 0;
  #flags = 0;
  #whole = false;

  /**
   * Takes a frame of `length` bytes at `at`. False where its offload header can't be true of it:
   * such a frame is to be dropped. The bytes must stay until the last `next`.
   */
  begin(source: Uint8Array, at: number, length: number, offload: Offload): boolean {
    this.count = 0;
    this.#index = 0;
    this.#sent = 0;
    this.#source = source;
    this.#at = at;
    if (length < ETHERNET_BYTES) return false;
    const needsChecksum = (offload.flags & NET_NEEDS_CHECKSUM) !== 0;
    if (
      needsChecksum &&
      (offload.checksumStart < ETHERNET_BYTES ||
        offload.checksumStart + offload.checksumOffset + 2 > length)
    ) {
      return false;
    }
    if (offload.gsoType === GSO_NONE) {
      this.#whole = true;
      this.#payload = length;
      this.#headers = needsChecksum ? offload.checksumStart : -1;
      this.#size = offload.checksumOffset;
      this.count = 1;
      this.longest = length;
      return true;
    }
    return this.#beginGso(length, offload, needsChecksum);
  }

  #beginGso(length: number, offload: Offload, needsChecksum: boolean): boolean {
    const kind = offload.gsoType & ~GSO_ECN;
    const family = kind === GSO_TCPV4 ? 4 : kind === GSO_TCPV6 ? 6 : 0;
    const protocol = kind === GSO_UDP_L4 ? PROTOCOL_UDP : PROTOCOL_TCP;
    if (family === 0 && kind !== GSO_UDP_L4) return false;
    if (offload.gsoSize === 0) return false;
    if (offload.headerBytes < ETHERNET_BYTES || offload.headerBytes > length) return false;
    const layers = this.#layers;
    if (!layers.find(this.#source, this.#at, length)) return false;
    if (layers.family === 0 || (family !== 0 && layers.family !== family)) return false;
    if (layers.protocol !== protocol || layers.fragmented || layers.transport < 0) return false;
    const { transport, networkEnd } = layers;
    if (needsChecksum && offload.checksumStart !== transport - this.#at) return false;
    const header =
      protocol === PROTOCOL_TCP
        ? tcpHeaderBytes(this.#source, transport, networkEnd)
        : networkEnd - transport < UDP_BYTES
          ? 0
          : UDP_BYTES;
    if (header === 0) return false;
    this.#headers = transport + header - this.#at;
    this.#payload = networkEnd - transport - header;
    this.#size = offload.gsoSize;
    const count = Math.max(1, Math.ceil(this.#payload / this.#size));
    if (count > MOST_SEGMENTS) return false;
    this.#network = layers.network - this.#at;
    this.#transport = transport - this.#at;
    if (layers.family === 4) this.#id = readU16(this.#source, layers.network + IPV4_ID);
    if (protocol === PROTOCOL_TCP) {
      this.#sequence = readU32(this.#source, transport + TCP_SEQUENCE);
      this.#flags = this.#source[transport + TCP_FLAGS]!;
    }
    this.#whole = false;
    this.count = count;
    this.longest = this.#headers + Math.min(this.#payload, this.#size);
    return true;
  }

  /** Bytes of the frame that `next` will write; 0 behind the last. */
  get nextBytes(): number {
    if (this.#index === this.count) return 0;
    if (this.#whole) return this.#payload;
    return this.#headers + Math.min(this.#size, this.#payload - this.#sent);
  }

  /** Of a frame with segmentation offload: its headers, as they are found in it. */
  get headerBytes(): number {
    return this.#headers;
  }

  /** Of such a frame: all of it, without what stands behind its packet. */
  get packetFrameBytes(): number {
    return this.#headers + this.#payload;
  }

  /** Leaves the next frame out, as if it had been written. */
  skip(): void {
    if (this.#index === this.count) return;
    this.#sent += this.#whole ? 0 : Math.min(this.#size, this.#payload - this.#sent);
    this.#index++;
  }

  /** Writes the next frame, `nextBytes` long, to `into` at `at`; answers its length, 0 at the end. */
  next(into: Uint8Array, at: number): number {
    const bytes = this.nextBytes;
    if (bytes === 0) return 0;
    const source = this.#source;
    if (this.#whole) {
      copy(source, this.#at, into, at, bytes);
      if (this.#headers >= 0) completeChecksum(into, at, bytes, this.#headers, this.#size);
    } else {
      copy(source, this.#at, into, at, this.#headers);
      const from = this.#at + this.#headers + this.#sent;
      copy(source, from, into, at + this.#headers, bytes - this.#headers);
      this.#mend(into, at, bytes);
    }
    this.skip();
    return bytes;
  }

  /** Makes the copied headers those of this segment. */
  #mend(b: Uint8Array, at: number, bytes: number): void {
    const ip = at + this.#network;
    const transport = at + this.#transport;
    const length = at + bytes - transport;
    const { family, protocol } = this.#layers;
    let pseudo: number;
    if (family === 4) {
      writeU16(b, ip + IPV4_TOTAL_LENGTH, at + bytes - ip);
      writeU16(b, ip + IPV4_ID, (this.#id + this.#index) & 0xffff);
      writeIpv4Checksum(b, ip, (b[ip]! & 0xf) * 4);
      pseudo = pseudoSum4(b, ip, protocol, length);
    } else {
      writeU16(b, ip + IPV6_PAYLOAD_LENGTH, at + bytes - ip - IPV6_BYTES);
      pseudo = pseudoSum6(b, ip, protocol, length);
    }
    if (protocol === PROTOCOL_UDP) {
      writeU16(b, transport + UDP_LENGTH, length);
      writeUdpChecksum(b, transport, length, pseudo);
      return;
    }
    writeU32(b, transport + TCP_SEQUENCE, this.#sequence + this.#sent);
    let flags = this.#flags;
    if (this.#index > 0) flags &= ~TCP_CWR;
    if (this.#index < this.count - 1) flags &= ~(TCP_FIN | TCP_PSH);
    b[transport + TCP_FLAGS] = flags;
    writeTcpChecksum(b, transport, length, pseudo);
  }
}

function copy(from: Uint8Array, at: number, to: Uint8Array, toAt: number, length: number): void {
  if (from === to) to.copyWithin(toAt, at, at + length);
  else to.set(from.subarray(at, at + length), toAt);
}
