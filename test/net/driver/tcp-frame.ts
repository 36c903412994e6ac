/** TCP frames with and without offloads, and what their checksums must be. */

import * as virtio from "../../../net/virtio/constants.ts";
import { mac } from "./mock-lab.ts";

/** A long segment of 10.0.0.1 to 10.0.0.2, as Linux leaves it to a card, from MAC address 1 to 2. */
export function tcpFrame(payload: number) {
  const frame = Buffer.alloc(66 + payload);
  mac(2).copy(frame, 0);
  mac(1).copy(frame, 6);
  frame.writeUInt16BE(0x0800, 12);
  frame[14] = 0x45;
  frame.writeUInt16BE(frame.length - 14, 16);
  frame[22] = 64;
  frame[23] = 6;
  frame.set([10, 0, 0, 1, 10, 0, 0, 2], 26);
  frame.writeUInt16BE(1234, 34);
  frame.writeUInt16BE(80, 36);
  frame[46] = 8 << 4;
  frame[47] = 0x10;
  const pseudo = Buffer.from([10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 0]);
  pseudo.writeUInt16BE((frame.length - 34) & 0xffff, 10);
  frame.writeUInt16BE(internetSum(pseudo), 50);
  for (let i = 66; i < frame.length; i++) frame[i] = (i * 7) & 0xff;
  const header = {
    flags: 1,
    gsoType: virtio.NET_HDR_GSO_TCPV4,
    headerBytes: 66,
    gsoSize: 1448,
    checksumStart: 34,
    checksumOffset: 16,
  };
  return { frame, header };
}

/** Of TCP over IPv4. */
export function pseudoHeader(frame: Buffer): Buffer {
  const pseudo = Buffer.alloc(12);
  frame.copy(pseudo, 0, 26, 34);
  pseudo[9] = 6;
  pseudo.writeUInt16BE(frame.length - 34, 10);
  return pseudo;
}

/** RFC 1071: the one's complement sum, not yet inverted. */
export function internetSum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) sum += (part[i]! << 8) | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}
