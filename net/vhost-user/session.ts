/**
 * One connection of a front-end (a guest's kernel): takes its messages, answers, and keeps what they
 * set up — features, memory, two queues with their kick and call descriptors.
 *
 *     SET_OWNER, features … -> SET_MEM_TABLE -> per queue: CALL NUM BASE ADDR KICK ENABLE
 *
 * What the front-end sends is checked like everything else that a guest writes: a violation throws
 * a `SessionError` and the caller disposes of the session.
 */

import type { Arenas, Region } from "../arena.ts";
import * as libc from "../libc/libc.ts";
import { F_RING_EVENT_IDX } from "../virtio/constants.ts";
import { Virtqueue } from "../virtio/virtqueue.ts";
import {
  BACKEND_CONFIG_CHANGE,
  encode,
  F_PROTOCOL_FEATURES,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  HEADER_BYTES,
  LARGEST_PAYLOAD,
  PROTOCOL_F_CONFIG,
  PROTOCOL_F_REPLY_ACK,
  PROTOCOL_F_SLAVE_REQ,
  Request,
  readUint64,
  VERSION,
  VERSION_MASK,
  VRING_INDEX_MASK,
  VRING_NO_FD,
} from "./messages.ts";

export class SessionError extends Error {}

const PROTOCOL_FEATURES =
  (1n << BigInt(PROTOCOL_F_REPLY_ACK)) |
  (1n << BigInt(PROTOCOL_F_SLAVE_REQ)) |
  (1n << BigInt(PROTOCOL_F_CONFIG));

/** What a session tells its device. */
export interface SessionDevice {
  /** Virtio features offered, without F_PROTOCOL_FEATURES. */
  readonly features: bigint;
  readonly queues: number;
  readonly config: Uint8Array;
  /** A queue has all it needs and is enabled: `session.queue(index)`. */
  queueStarted(index: number): void;
  queueStopped(index: number): void;
}

interface Ring {
  size: number;
  base: number;
  addresses: { descriptors: number; available: number; used: number } | undefined;
  kickFd: number;
  callFd: number;
  enabled: boolean;
  queue: Virtqueue | undefined;
}

export class VhostUserSession {
  readonly fd: number;
  readonly #device: SessionDevice;
  readonly #arenas: Arenas;
  readonly #epoll: { add(fd: number, queue: number): void; remove(fd: number): void };
  readonly #rings: Ring[];
  readonly #input = Buffer.alloc(HEADER_BYTES + LARGEST_PAYLOAD);
  #filled = 0;
  #fds: number[] = [];
  #acked = 0n;
  #protocolAcked = 0n;
  #region: Region | undefined;
  #userAddress = 0;
  #backendRequestFd = -1;

  constructor(
    fd: number,
    device: SessionDevice,
    arenas: Arenas,
    epoll: { add(fd: number, queue: number): void; remove(fd: number): void },
  ) {
    this.fd = fd;
    this.#device = device;
    this.#arenas = arenas;
    this.#epoll = epoll;
    this.#rings = Array.from({ length: device.queues }, () => ({
      size: 0,
      base: 0,
      addresses: undefined,
      kickFd: -1,
      callFd: -1,
      enabled: false,
      queue: undefined,
    }));
  }

  get features(): bigint {
    return this.#acked;
  }

  get region(): Region | undefined {
    return this.#region;
  }

  queue(index: number): Virtqueue | undefined {
    return this.#rings[index]?.queue;
  }

  callFd(index: number): number {
    return this.#rings[index]?.callFd ?? -1;
  }

  /** Handles what has come; false at the end of the connection. */
  readable(): boolean {
    for (;;) {
      const got = libc.descriptors.receive(
        this.fd,
        this.#input.subarray(this.#filled, this.#wanted()),
        this.#fds,
      );
      if (got === 0) return false;
      if (got < 0) return true;
      if (this.#fds.length > 16) throw new SessionError("a heap of descriptors");
      this.#filled += got;
      if (this.#filled < this.#wanted()) continue;
      const request = this.#input.readUInt32LE(0);
      const flags = this.#input.readUInt32LE(4);
      if ((flags & VERSION_MASK) !== VERSION) throw new SessionError("not vhost-user version 1");
      const payload = this.#input.subarray(HEADER_BYTES, this.#filled);
      this.#filled = 0;
      this.#handle(request, flags, payload);
      for (const fd of this.#fds.splice(0)) libc.close(fd);
    }
  }

  /** The length of the message that is coming in, as far as it is known. */
  #wanted(): number {
    if (this.#filled < HEADER_BYTES) return HEADER_BYTES;
    const size = this.#input.readUInt32LE(8);
    if (size > LARGEST_PAYLOAD) throw new SessionError(`a message of ${size} bytes`);
    return HEADER_BYTES + size;
  }

  #handle(request: number, flags: number, payload: Buffer): void {
    const reply = this.#answer(request, payload);
    if (reply !== undefined) {
      this.#send(encode(request, FLAG_REPLY, reply));
    } else if (
      (flags & FLAG_NEED_REPLY) !== 0 &&
      (this.#protocolAcked & (1n << BigInt(PROTOCOL_F_REPLY_ACK))) !== 0n
    ) {
      this.#send(encode(request, FLAG_REPLY, Buffer.alloc(8)));
    }
  }

  #send(message: Buffer): void {
    if (libc.descriptors.send(this.fd, message) !== message.length) {
      throw new SessionError("the front-end does not take answers");
    }
  }

  /** Does what a request asks; the payload of its own answer where it has one. */
  #answer(request: number, payload: Buffer): Buffer | undefined {
    switch (request) {
      case Request.GET_FEATURES:
        return uint64(this.#device.features | (1n << BigInt(F_PROTOCOL_FEATURES)));
      case Request.SET_FEATURES: {
        this.#need(payload, 8);
        const acked = payload.readBigUInt64LE(0);
        if ((acked & ~(this.#device.features | (1n << BigInt(F_PROTOCOL_FEATURES)))) !== 0n) {
          throw new SessionError("features that were not offered");
        }
        this.#acked = acked;
        return undefined;
      }
      case Request.GET_PROTOCOL_FEATURES:
        return uint64(PROTOCOL_FEATURES);
      case Request.SET_PROTOCOL_FEATURES:
        this.#need(payload, 8);
        this.#protocolAcked = payload.readBigUInt64LE(0) & PROTOCOL_FEATURES;
        return undefined;
      case Request.SET_OWNER:
      case Request.RESET_OWNER:
      case Request.SET_CONFIG:
        return undefined;
      case Request.SET_SLAVE_REQ_FD:
        this.#replaceBackendRequestFd(this.#takeFd());
        return undefined;
      case Request.GET_QUEUE_NUM:
        return uint64(BigInt(this.#device.queues));
      case Request.GET_CONFIG:
        return this.#config(payload);
      case Request.SET_MEM_TABLE:
        this.#setMemory(payload);
        return undefined;
      case Request.SET_VRING_NUM: {
        const ring = this.#ring(payload, 8);
        ring.size = payload.readUInt32LE(4);
        return undefined;
      }
      case Request.SET_VRING_BASE: {
        const ring = this.#ring(payload, 8);
        ring.base = payload.readUInt32LE(4);
        return undefined;
      }
      case Request.SET_VRING_ADDR: {
        const ring = this.#ring(payload, 40);
        ring.addresses = {
          descriptors: readUint64(payload, 8),
          used: readUint64(payload, 16),
          available: readUint64(payload, 24),
        };
        return undefined;
      }
      case Request.GET_VRING_BASE: {
        const ring = this.#ring(payload, 8);
        this.#stop(payload.readUInt32LE(0));
        const answer = Buffer.alloc(8);
        answer.writeUInt32LE(payload.readUInt32LE(0), 0);
        answer.writeUInt32LE(ring.base, 4);
        return answer;
      }
      case Request.SET_VRING_KICK: {
        const ring = this.#ringOfFd(payload);
        this.#setKick(ring, this.#optionalFd(payload));
        this.#startIfReady(this.#rings.indexOf(ring));
        return undefined;
      }
      case Request.SET_VRING_CALL: {
        const ring = this.#ringOfFd(payload);
        const fd = this.#optionalFd(payload);
        if (ring.callFd >= 0) libc.close(ring.callFd);
        ring.callFd = fd;
        if (fd >= 0) libc.setNonBlocking(fd);
        return undefined;
      }
      case Request.SET_VRING_ERR:
        return undefined;
      case Request.SET_VRING_ENABLE: {
        const ring = this.#ring(payload, 8);
        ring.enabled = payload.readUInt32LE(4) === 1;
        const index = payload.readUInt32LE(0);
        if (ring.enabled) this.#startIfReady(index);
        else this.#stop(index);
        return undefined;
      }
      default:
        throw new SessionError(`the unknown request ${request}`);
    }
  }

  #need(payload: Buffer, bytes: number): void {
    if (payload.length < bytes) throw new SessionError("a message that is too short");
  }

  #ring(payload: Buffer, bytes: number): Ring {
    this.#need(payload, bytes);
    const ring = this.#rings[payload.readUInt32LE(0)];
    if (ring === undefined) throw new SessionError("a queue that the device does not have");
    return ring;
  }

  #ringOfFd(payload: Buffer): Ring {
    this.#need(payload, 8);
    const ring = this.#rings[payload.readUInt32LE(0) & VRING_INDEX_MASK];
    if (ring === undefined) throw new SessionError("a queue that the device does not have");
    return ring;
  }

  #takeFd(): number {
    const fd = this.#fds.shift();
    if (fd === undefined) throw new SessionError("a message without its descriptor");
    return fd;
  }

  #optionalFd(payload: Buffer): number {
    return (payload.readUInt32LE(0) & VRING_NO_FD) !== 0 ? -1 : this.#takeFd();
  }

  /** struct vhost_user_config: u32 offset, u32 size, u32 flags, then the bytes. */
  #config(payload: Buffer): Buffer {
    this.#need(payload, 12);
    const offset = payload.readUInt32LE(0);
    const size = payload.readUInt32LE(4);
    if (size > payload.length - 12) throw new SessionError("a configuration read without room");
    const answer = Buffer.from(payload);
    const { config } = this.#device;
    for (let i = 0; i < size; i++) answer[12 + i] = config[offset + i] ?? 0;
    return answer;
  }

  /** u32 count, u32 padding; then guest address, size, user address, file offset: u64 each. */
  #setMemory(payload: Buffer): void {
    this.#need(payload, 40);
    if (payload.readUInt32LE(0) !== 1) throw new SessionError("more than one region of memory");
    if (this.#rings.some(({ queue }) => queue !== undefined)) {
      throw new SessionError("a new memory table under running queues");
    }
    const start = readUint64(payload, 8);
    const bytes = readUint64(payload, 16);
    const fd = this.#takeFd();
    try {
      this.#releaseMemory();
      this.#region = this.#arenas.map(fd, readUint64(payload, 32), bytes, start);
      this.#userAddress = readUint64(payload, 24);
    } finally {
      libc.close(fd);
    }
  }

  #setKick(ring: Ring, fd: number): void {
    if (ring.kickFd >= 0) {
      this.#epoll.remove(ring.kickFd);
      libc.close(ring.kickFd);
    }
    ring.kickFd = fd;
    if (fd >= 0) this.#epoll.add(fd, this.#rings.indexOf(ring));
  }

  #startIfReady(index: number): void {
    const ring = this.#rings[index] as Ring;
    if (ring.queue !== undefined || !ring.enabled || ring.kickFd < 0) return;
    if (this.#region === undefined || ring.addresses === undefined) return;
    const toGuest = (address: number) => address - this.#userAddress + this.#region!.start;
    ring.queue = new Virtqueue(
      this.#region,
      ring.size,
      {
        descriptors: toGuest(ring.addresses.descriptors),
        available: toGuest(ring.addresses.available),
        used: toGuest(ring.addresses.used),
      },
      ring.base,
      (this.#acked & (1n << BigInt(F_RING_EVENT_IDX))) !== 0n,
    );
    this.#device.queueStarted(index);
  }

  #stop(index: number): void {
    const ring = this.#rings[index] as Ring;
    if (ring.queue === undefined) return;
    ring.base = ring.queue.base;
    ring.queue = undefined;
    this.#device.queueStopped(index);
  }

  #replaceBackendRequestFd(fd: number): void {
    if (this.#backendRequestFd >= 0) libc.close(this.#backendRequestFd);
    this.#backendRequestFd = fd;
    libc.setNonBlocking(fd);
  }

  /** Tells the guest's driver to read the configuration space again (link up or down). */
  configChanged(): void {
    if (this.#backendRequestFd < 0) return;
    libc.descriptors.send(
      this.#backendRequestFd,
      encode(BACKEND_CONFIG_CHANGE, 0, Buffer.alloc(0)),
    );
  }

  #releaseMemory(): void {
    if (this.#region !== undefined) this.#arenas.release(this.#region);
    this.#region = undefined;
  }

  /** Gives back every descriptor and the memory. */
  dispose(): void {
    for (const index of this.#rings.keys()) {
      const ring = this.#rings[index] as Ring;
      this.#stop(index);
      this.#setKick(ring, -1);
      if (ring.callFd >= 0) libc.close(ring.callFd);
      ring.callFd = -1;
    }
    if (this.#backendRequestFd >= 0) libc.close(this.#backendRequestFd);
    this.#backendRequestFd = -1;
    for (const fd of this.#fds.splice(0)) libc.close(fd);
    this.#releaseMemory();
    this.#epoll.remove(this.fd);
    libc.close(this.fd);
  }
}

function uint64(value: bigint): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(value, 0);
  return payload;
}
