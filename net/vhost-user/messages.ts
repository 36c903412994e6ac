/**
 * vhost-user on the wire: a header of 12 bytes (u32 request, u32 flags, u32 size), then the payload,
 * little-endian; descriptors as ancillary data.
 * Source: QEMU docs/interop/vhost-user.rst; the front-end is linux: arch/um/drivers/virtio_uml.c
 */

export const HEADER_BYTES = 12;
/** The largest payload we take: a memory table or a configuration space, with room. */
export const LARGEST_PAYLOAD = 512;

export const VERSION = 0x1;
export const VERSION_MASK = 0x3;
export const FLAG_REPLY = 0x4;
export const FLAG_NEED_REPLY = 0x8;

export const Request = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  SET_SLAVE_REQ_FD: 21,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
} as const;

/** Requests from the back-end, on the descriptor that SET_SLAVE_REQ_FD brings. */
export const BACKEND_CONFIG_CHANGE = 2;

/** VHOST_USER_F_PROTOCOL_FEATURES, a bit of the virtio features. */
export const F_PROTOCOL_FEATURES = 30;

export const PROTOCOL_F_REPLY_ACK = 3;
export const PROTOCOL_F_SLAVE_REQ = 5;
export const PROTOCOL_F_CONFIG = 9;

/** The payload of KICK, CALL and ERR: the queue's number, and whether no descriptor came along. */
export const VRING_INDEX_MASK = 0xff;
export const VRING_NO_FD = 0x100;

export function encode(request: number, flags: number, payload: Uint8Array): Buffer {
  const message = Buffer.alloc(HEADER_BYTES + payload.length);
  message.writeUInt32LE(request, 0);
  message.writeUInt32LE(VERSION | flags, 4);
  message.writeUInt32LE(payload.length, 8);
  message.set(payload, HEADER_BYTES);
  return message;
}

/** An unsigned 64-bit field as a number; anything above 2^53 becomes larger than any RAM. */
export function readUint64(payload: Buffer, at: number): number {
  return payload.readUInt32LE(at) + payload.readUInt32LE(at + 4) * 0x1_0000_0000;
}
