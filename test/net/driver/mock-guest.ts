/**
 * A guest as the fabric meets it, without a kernel: it speaks the front-end's side of vhost-user as
 * UML does, and plays the driver's side of both virtqueues in memory that it shares.
 *
 *     mock guest: RAM (memfd) --- socketpair --- Nic of a FabricCore
 *       | 0x1000 rx queue | 0x8000 tx queue | 0x10000 rx buffers | 0x90000 tx buffers |
 *
 * Nothing runs by itself: every call does its part and returns. What a driver must never do is done
 * by writing into `u8`, `u16` and `u32`, or by `say`.
 */

import type { FabricCore } from "../../../net/fabric-core.ts";
import * as libc from "../../../net/libc/libc.ts";
import type { Nic } from "../../../net/nic.ts";
import {
  BACKEND_CONFIG_CHANGE,
  encode,
  F_PROTOCOL_FEATURES,
  FLAG_NEED_REPLY,
  HEADER_BYTES,
  Request,
} from "../../../net/vhost-user/messages.ts";
import * as virtio from "../../../net/virtio/constants.ts";
import { SharedMemory, socketpair } from "./native.ts";

export const RX = 0;
export const TX = 1;

/** Where the guest's RAM begins for the guest, and in its kernel's address space: neither is 0. */
export const GUEST_START = 0x4000_0000;
export const USER_START = 0x6000_0000;

export const QUEUE_AT = [0x1000, 0x8000] as const;
export const AVAILABLE = 0x4000;
export const USED = 0x5000;
const RX_BUFFERS = 0x1_0000;
const RX_BUFFER_BYTES = 2048;
/** Where the first frame that is sent stands in the guest's RAM, header and all. */
export const TX_BUFFERS = 0x9_0000;
const TX_BUFFER_BYTES = 0x1_2000;
const TX_SLOTS = 16;
export const RAM_BYTES = 0x20_0000;

export interface Header {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerBytes: number;
  readonly gsoSize: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

const PLAIN: Header = {
  flags: 0,
  gsoType: 0,
  headerBytes: 0,
  gsoSize: 0,
  checksumStart: 0,
  checksumOffset: 0,
};

export interface Received {
  readonly header: Header & { readonly buffers: number };
  readonly bytes: Buffer;
}

export interface MockOptions {
  /** A power of two, 256 at most (the layout's room). */
  readonly queueSize?: number;
  /** Virtio features to take of those offered; all unless told. */
  readonly features?: (offered: bigint) => bigint;
  /** Buffers for received frames, given at once; 0 gives none. */
  readonly receiveBuffers?: number;
}

export class MockGuest implements Disposable {
  readonly memory = new SharedMemory(RAM_BYTES);
  readonly u8 = new Uint8Array(this.memory.buffer);
  readonly u16 = new Uint16Array(this.memory.buffer);
  readonly u32 = new Uint32Array(this.memory.buffer);
  readonly nic: Nic;
  readonly queueSize: number;
  features = 0n;
  readonly #core: FabricCore;
  readonly #socket: number;
  readonly #calls: number[] = [];
  readonly #requests: [number, number];
  readonly #made = [0, 0];
  readonly #seen = [0, 0];
  readonly #rxBuffers: number;
  #open = true;

  constructor(core: FabricCore, nic: Nic, options: MockOptions = {}) {
    this.#core = core;
    this.nic = nic;
    this.queueSize = options.queueSize ?? 256;
    this.#rxBuffers = options.receiveBuffers ?? this.queueSize;
    const [ours, theirs] = socketpair();
    this.#socket = ours;
    this.#requests = socketpair();
    nic.accept(theirs);
    this.#connect(options.features ?? ((offered) => offered));
    this.giveBuffers(this.#rxBuffers);
  }

  /** In the order of linux: arch/um/drivers/virtio_uml.c. */
  #connect(choose: (offered: bigint) => bigint): void {
    this.say(Request.SET_OWNER);
    const offered = this.ask(Request.GET_FEATURES).readBigUInt64LE(0);
    this.ask(Request.GET_PROTOCOL_FEATURES);
    this.say(Request.SET_PROTOCOL_FEATURES, u64(0x228n));
    this.say(Request.SET_SLAVE_REQ_FD, Buffer.alloc(0), [this.#requests[1]]);
    libc.close(this.#requests[1]);
    this.features = choose(offered) & ~(1n << BigInt(F_PROTOCOL_FEATURES));
    this.say(Request.SET_FEATURES, u64(this.features));
    this.shareMemory();
    for (const queue of [RX, TX]) {
      const [kick, call] = [libc.eventfd(), libc.eventfd()];
      this.#calls.push(call);
      this.say(Request.SET_VRING_CALL, u64(BigInt(queue)), [call]);
      this.say(Request.SET_VRING_NUM, pair(queue, this.queueSize));
      this.say(Request.SET_VRING_BASE, pair(queue, 0));
      this.sayAddresses(queue);
      this.say(Request.SET_VRING_KICK, u64(BigInt(queue)), [kick]);
      libc.close(kick); // kicks are calls of `core.kicked` here
      this.say(Request.SET_VRING_ENABLE, pair(queue, 1));
    }
  }

  shareMemory(): void {
    const table = Buffer.alloc(40);
    table.writeUInt32LE(1, 0);
    table.writeBigUInt64LE(BigInt(GUEST_START), 8);
    table.writeBigUInt64LE(BigInt(RAM_BYTES), 16);
    table.writeBigUInt64LE(BigInt(USER_START), 24);
    this.say(Request.SET_MEM_TABLE, table, [this.memory.fd]);
  }

  sayAddresses(queue: number, change: (addresses: bigint[]) => void = () => {}): void {
    const at = QUEUE_AT[queue as 0 | 1];
    const addresses = [0, USED, AVAILABLE].map((part) => BigInt(USER_START + at + part));
    change(addresses);
    const payload = Buffer.alloc(40);
    payload.writeUInt32LE(queue, 0);
    addresses.forEach((address, index) => {
      payload.writeBigUInt64LE(BigInt.asUintN(64, address), 8 + 8 * index);
    });
    this.say(Request.SET_VRING_ADDR, payload);
  }

  // ------------------------------------------------------------------ messages

  /** Sends a message and lets the NIC read it. */
  say(
    request: number,
    payload: Buffer = Buffer.alloc(0),
    fds: readonly number[] = [],
    flags = 0,
  ): void {
    this.sayBytes(encode(request, flags, payload), fds);
  }

  sayBytes(bytes: Buffer, fds: readonly number[] = []): void {
    try {
      libc.descriptors.send(this.#socket, bytes, fds);
    } catch (error) {
      if (!(error instanceof libc.SystemCallError && error.errno === "EPIPE")) throw error;
    }
    this.nic.sessionReadable();
  }

  /** Sends a message that has an answer; its payload. */
  ask(request: number, payload: Buffer = Buffer.alloc(0), flags = 0): Buffer {
    this.say(request, payload, [], flags);
    const answer = this.#read(this.#socket);
    if (answer === undefined) throw new Error(`request ${request} was not answered`);
    return answer.subarray(HEADER_BYTES);
  }

  /** With NEED_REPLY: whether it was acknowledged. */
  acknowledged(request: number, payload: Buffer): boolean {
    return this.ask(request, payload, FLAG_NEED_REPLY).readBigUInt64LE(0) === 0n;
  }

  /** How often the fabric said that the configuration space changed. */
  configurationChanges(): number {
    let changes = 0;
    for (let all = this.#read(this.#requests[0]); all !== undefined; ) {
      for (let at = 0; at < all.length; at += HEADER_BYTES + all.readUInt32LE(at + 8)) {
        if (all.readUInt32LE(at) === BACKEND_CONFIG_CHANGE) changes++;
      }
      all = this.#read(this.#requests[0]);
    }
    return changes;
  }

  #read(fd: number): Buffer | undefined {
    const into = Buffer.alloc(4096);
    const got = libc.read(fd, into);
    return got > 0 ? into.subarray(0, got) : undefined;
  }

  // ------------------------------------------------------------------ queues

  setDescriptor(
    queue: number,
    index: number,
    value: { address: number; length: number; flags?: number; next?: number },
  ): void {
    const at = (QUEUE_AT[queue as 0 | 1] + index * virtio.DESC_BYTES) / 4;
    this.writeDescriptor(at, value);
  }

  /** @param at an index into `u32`. */
  writeDescriptor(
    at: number,
    value: { address: number; length: number; flags?: number; next?: number },
  ): void {
    this.u32[at] = value.address % 2 ** 32;
    this.u32[at + 1] = Math.floor(value.address / 2 ** 32);
    this.u32[at + 2] = value.length;
    this.u32[at + 3] = (value.flags ?? 0) | ((value.next ?? 0) << 16);
  }

  /** Shows the head of a chain; the fabric looks when it is kicked. */
  offer(queue: number, head: number): void {
    const at = (QUEUE_AT[queue as 0 | 1] + AVAILABLE) / 2;
    const made = this.#made[queue as 0 | 1]!;
    this.u16[at + 2 + (made & (this.queueSize - 1))] = head;
    this.#made[queue as 0 | 1] = (made + 1) & 0xffff;
    this.u16[at + 1] = (made + 1) & 0xffff;
  }

  kick(queue: number): void {
    this.#core.kicked(this.nic, queue);
  }

  /** Heads and lengths that the fabric has put into the used ring since the last look. */
  used(queue: number): { head: number; written: number }[] {
    const at = QUEUE_AT[queue as 0 | 1] + USED;
    const now = this.u16[at / 2 + 1]!;
    const found: { head: number; written: number }[] = [];
    let seen = this.#seen[queue as 0 | 1]!;
    for (; seen !== now; seen = (seen + 1) & 0xffff) {
      const entry = at / 4 + 1 + (seen & (this.queueSize - 1)) * 2;
      found.push({ head: this.u32[entry]!, written: this.u32[entry + 1]! });
    }
    this.#seen[queue as 0 | 1] = seen;
    if ((this.features & (1n << BigInt(virtio.F_RING_EVENT_IDX))) !== 0n) {
      // used_event, behind the available ring: call again at the next one
      this.u16[(QUEUE_AT[queue as 0 | 1] + AVAILABLE) / 2 + 2 + this.queueSize] = now;
    }
    return found;
  }

  /** How often the fabric called since the last look. */
  calls(queue: number): number {
    const count = this.#read(this.#calls[queue] as number);
    return count === undefined ? 0 : Number(count.readBigUInt64LE(0));
  }

  // ------------------------------------------------------------------ frames

  giveBuffers(count: number): void {
    for (let index = 0; index < count; index++) this.#giveBuffer(index);
    if (count > 0) this.kick(RX);
  }

  #giveBuffer(index: number): void {
    const address = GUEST_START + RX_BUFFERS + index * RX_BUFFER_BYTES;
    this.setDescriptor(RX, index, {
      address,
      length: RX_BUFFER_BYTES,
      flags: virtio.DESC_F_WRITE,
    });
    this.offer(RX, index);
  }

  /**
   * Puts a frame into the transmit ring and kicks. `pieces` are the lengths of its buffers, the
   * virtio-net header counted in; the last takes the rest.
   */
  transmit(
    frame: Uint8Array,
    options: { header?: Partial<Header>; pieces?: readonly number[]; indirect?: boolean } = {},
  ): void {
    const slot = this.#made[TX]! % TX_SLOTS;
    const at = TX_BUFFERS + slot * TX_BUFFER_BYTES;
    writeHeader(this.u8, at, { ...PLAIN, ...options.header });
    this.u8.set(frame, at + virtio.NET_HEADER_BYTES);
    const total = virtio.NET_HEADER_BYTES + frame.length;
    const lengths = [...(options.pieces ?? [])];
    const rest = total - lengths.reduce((sum, length) => sum + length, 0);
    if (rest > 0) lengths.push(rest);
    const first = slot * 16;
    const table = at + TX_BUFFER_BYTES - 16 * virtio.DESC_BYTES;
    let address = GUEST_START + at;
    lengths.forEach((length, index) => {
      const more = index < lengths.length - 1;
      const next = (options.indirect ? 0 : first) + index + 1;
      const flags = more ? virtio.DESC_F_NEXT : 0;
      const where = options.indirect
        ? (table + index * virtio.DESC_BYTES) / 4
        : (QUEUE_AT[TX] + (first + index) * virtio.DESC_BYTES) / 4;
      this.writeDescriptor(where, { address, length, flags, next: more ? next : 0 });
      address += length;
    });
    if (options.indirect) {
      this.setDescriptor(TX, first, {
        address: GUEST_START + table,
        length: lengths.length * virtio.DESC_BYTES,
        flags: virtio.DESC_F_INDIRECT,
      });
    }
    this.offer(TX, first);
    this.kick(TX);
  }

  /** Frames that came, put together where they took several buffers; their buffers are given back. */
  receive(options: { giveBack?: boolean } = {}): Received[] {
    const frames: Received[] = [];
    const used = this.used(RX);
    for (let i = 0; i < used.length; ) {
      const parts: Buffer[] = [];
      const header = readHeader(this.u8, RX_BUFFERS + used[i]!.head * RX_BUFFER_BYTES);
      for (let part = 0; part < header.buffers; part++, i++) {
        const { head, written } = used[i]!;
        const at = RX_BUFFERS + head * RX_BUFFER_BYTES;
        const skip = part === 0 ? virtio.NET_HEADER_BYTES : 0;
        parts.push(Buffer.from(this.u8.slice(at + skip, at + written)));
      }
      frames.push({ header, bytes: Buffer.concat(parts) });
    }
    if (options.giveBack !== false && used.length > 0) {
      for (const { head } of used) this.#giveBuffer(head);
      this.kick(RX);
    }
    return frames;
  }

  /** The guest's kernel goes away: its end of the connection closes. */
  hangUp(): void {
    if (!this.#open) return;
    this.#open = false;
    libc.close(this.#socket);
    libc.close(this.#requests[0]);
    for (const call of this.#calls) libc.close(call);
    this.nic.sessionReadable();
  }

  [Symbol.dispose](): void {
    this.hangUp();
    this.memory[Symbol.dispose]();
  }
}

export function writeHeader(u8: Uint8Array, at: number, header: Header): void {
  const view = new DataView(u8.buffer, at, virtio.NET_HEADER_BYTES);
  view.setUint8(virtio.NET_HDR_FLAGS, header.flags);
  view.setUint8(virtio.NET_HDR_GSO_TYPE, header.gsoType);
  view.setUint16(virtio.NET_HDR_LEN, header.headerBytes, true);
  view.setUint16(virtio.NET_HDR_GSO_SIZE, header.gsoSize, true);
  view.setUint16(virtio.NET_HDR_CSUM_START, header.checksumStart, true);
  view.setUint16(virtio.NET_HDR_CSUM_OFFSET, header.checksumOffset, true);
  view.setUint16(virtio.NET_HDR_NUM_BUFFERS, 0, true);
}

function readHeader(u8: Uint8Array, at: number): Received["header"] {
  const view = new DataView(u8.buffer, at, virtio.NET_HEADER_BYTES);
  return {
    flags: view.getUint8(virtio.NET_HDR_FLAGS),
    gsoType: view.getUint8(virtio.NET_HDR_GSO_TYPE),
    headerBytes: view.getUint16(virtio.NET_HDR_LEN, true),
    gsoSize: view.getUint16(virtio.NET_HDR_GSO_SIZE, true),
    checksumStart: view.getUint16(virtio.NET_HDR_CSUM_START, true),
    checksumOffset: view.getUint16(virtio.NET_HDR_CSUM_OFFSET, true),
    buffers: view.getUint16(virtio.NET_HDR_NUM_BUFFERS, true),
  };
}

export const u64 = (value: bigint): Buffer => {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(value, 0);
  return payload;
};

export const pair = (first: number, second: number): Buffer => {
  const payload = Buffer.alloc(8);
  payload.writeUInt32LE(first, 0);
  payload.writeUInt32LE(second >>> 0, 4);
  return payload;
};
