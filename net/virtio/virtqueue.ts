/**
 * The device side of a split virtqueue (virtio 1.2 §2.7) over a guest's RAM.
 *
 *     guest                                   we
 *     descriptors  ----------------------->   read, checked, never trusted
 *     available ring: heads of chains  ---->  peek, take
 *     used ring  <-------------------------   put, publish, then tell (call) if it wants to know
 *
 * The guest is hostile: every index, address and length is checked against the queue and the RAM
 * that was mapped, every walk is bounded. A violation throws a `RingError`, and the device is
 * disconnected.
 */

import { type Arena, PAGE, type Region, ZEROS_AT } from "../arena.ts";
import {
  AVAIL_F_NO_INTERRUPT,
  DESC_BYTES,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_WRITE,
  LARGEST_QUEUE,
} from "./constants.ts";

export class RingError extends Error {}

/** The buffers of one chain, reused from chain to chain: offsets in the guest's arena. */
export class Chain {
  readonly offsets = new Uint32Array(LARGEST_QUEUE);
  readonly lengths = new Uint32Array(LARGEST_QUEUE);
  count = 0;
  bytes = 0;
}

export interface QueueAddresses {
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
}

/**
 * A hole of a file that is sent without a copy (sendfile) is the kernel's page of zeros, which stands in
 * the kernel's image, in front of the memory that is shared with us (linux: splice_zeropage_into_pipe()
 * of mm/shmem.c, vhost_user_set_mem_table() of arch/um/drivers/virtio_uml.c). There, a piece of one page
 * is read as zeros: the only thing that a kernel sends from there, and nothing that somebody else has.
 */
const mayBeZeros = (address: number, length: number, start: number): boolean =>
  address < start && (address % PAGE) + length <= PAGE;

const fence = new Int32Array(1);

export class Virtqueue {
  readonly size: number;
  readonly eventIdx: boolean;
  readonly #region: Region;
  /** The region's numbers, near at hand. */
  readonly #start: number;
  readonly #offset: number;
  readonly #bytes: number;
  readonly #u16: Uint16Array;
  readonly #u32: Uint32Array;
  readonly #mask: number;
  /** Indices into the typed arrays. */
  readonly #descriptors32: number;
  readonly #available16: number;
  readonly #used16: number;
  readonly #used32: number;
  /** Free-running, modulo 2^16. */
  #nextAvailable: number;
  #nextUsed: number;
  #published: number;

  /** @param base where the available ring is taken up (SET_VRING_BASE). */
  constructor(
    region: Region,
    size: number,
    addresses: QueueAddresses,
    base: number,
    eventIdx: boolean,
  ) {
    if (size < 1 || size > LARGEST_QUEUE || (size & (size - 1)) !== 0) {
      throw new RingError(`a queue of ${size} entries`);
    }
    this.#region = region;
    this.#start = region.start;
    this.#offset = region.offset;
    this.#bytes = region.bytes;
    this.#u16 = region.arena.u16;
    this.#u32 = region.arena.u32;
    this.size = size;
    this.#mask = size - 1;
    this.eventIdx = eventIdx;
    // §2.7: alignments 16, 2 and 4; sizes with the event fields
    this.#descriptors32 = this.#place(addresses.descriptors, 16 * size, 16) / 4;
    this.#available16 = this.#place(addresses.available, 6 + 2 * size, 2) / 2;
    const used = this.#place(addresses.used, 6 + 8 * size, 4);
    this.#used16 = used / 2;
    this.#used32 = used / 4;
    this.#nextAvailable = base & 0xffff;
    this.#nextUsed = this.#u16[this.#used16 + 1]!;
    this.#published = this.#nextUsed;
  }

  get arena(): Arena {
    return this.#region.arena;
  }

  /** Where the next chain stands, and the available ring would be taken up again; free-running modulo 2^16. */
  get base(): number {
    return this.#nextAvailable;
  }

  #place(address: number, bytes: number, alignment: number): number {
    const at = address - this.#region.start;
    if (!(at >= 0 && at + bytes <= this.#region.bytes)) {
      throw new RingError("a ring lies outside the guest's memory");
    }
    const offset = this.#region.offset + at;
    if (offset % alignment !== 0) throw new RingError("a ring is not aligned");
    return offset;
  }

  /** How many chains the guest has made available. */
  available(): number {
    const count = (this.#u16[this.#available16 + 1]! - this.#nextAvailable) & 0xffff;
    if (count > this.size) throw new RingError("the available index jumped");
    return count;
  }

  /** The head of the chain `ahead` places behind the next one; there must be that many. */
  headAt(ahead: number): number {
    const slot = (this.#nextAvailable + ahead) & this.#mask;
    const head = this.#u16[this.#available16 + 2 + slot]!;
    if (head >= this.size) throw new RingError("a head outside the descriptor table");
    return head;
  }

  /** Moves past `count` chains. */
  take(count: number): void {
    this.#nextAvailable = (this.#nextAvailable + count) & 0xffff;
  }

  /**
   * Reads the chain that begins at `head`; every buffer must be one that the device writes, or none.
   */
  readChain(head: number, deviceWrites: boolean, chain: Chain): void {
    const wanted = deviceWrites ? DESC_F_WRITE : 0;
    const u32 = this.#u32;
    // nearly all small frames: one buffer, told by one descriptor
    const at = this.#descriptors32 + head * 4;
    if ((u32[at + 3]! & 0xffff) === wanted) {
      const length = u32[at + 2]!;
      const inRam = u32[at]! + u32[at + 1]! * 0x1_0000_0000 - this.#start;
      if (inRam >= 0 && length > 0 && inRam + length <= this.#bytes) {
        chain.count = 1;
        chain.offsets[0] = this.#offset + inRam;
        chain.lengths[0] = length;
        chain.bytes = length;
        return;
      }
    }
    this.#walk(head, wanted, chain);
  }

  #walk(head: number, wanted: number, chain: Chain): void {
    const u32 = this.#u32;
    const { start, offset, bytes } = this.#region;
    chain.count = 0;
    chain.bytes = 0;
    let table32 = this.#descriptors32;
    let entries = this.size;
    let index = head;
    let left = this.size;
    let indirect = false;
    for (;;) {
      if (left-- === 0) throw new RingError("a chain of descriptors without an end");
      const at = table32 + index * 4;
      const address = u32[at]! + u32[at + 1]! * 0x1_0000_0000;
      const length = u32[at + 2]!;
      const flagsAndNext = u32[at + 3]!;
      const flags = flagsAndNext & 0xffff;
      const inRam = address - start;
      let place = offset + inRam;
      if (!(inRam >= 0 && inRam + length <= bytes)) {
        const read = wanted === 0 && (flags & DESC_F_INDIRECT) === 0;
        if (!read || !mayBeZeros(address, length, start)) {
          throw new RingError("a buffer outside the guest's memory");
        }
        place = ZEROS_AT + (address % PAGE);
      }
      if ((flags & DESC_F_INDIRECT) !== 0) {
        // §2.7.5.3.1: no indirect table within one, and NEXT does not go with INDIRECT
        if (indirect || (flags & DESC_F_NEXT) !== 0 || chain.count > 0) {
          throw new RingError("an indirect table where none may be");
        }
        entries = length / DESC_BYTES;
        const tableOffset = place;
        if (entries < 1 || entries > LARGEST_QUEUE || entries !== Math.floor(entries)) {
          throw new RingError("an indirect table of a bad size");
        }
        if (tableOffset % 4 !== 0) throw new RingError("an indirect table is not aligned");
        table32 = tableOffset / 4;
        indirect = true;
        index = 0;
        left = entries;
        continue;
      }
      if ((flags & DESC_F_WRITE) !== wanted) throw new RingError("a buffer of the wrong direction");
      if (length === 0) throw new RingError("an empty buffer");
      chain.offsets[chain.count] = place;
      chain.lengths[chain.count] = length;
      chain.count++;
      chain.bytes += length;
      if ((flags & DESC_F_NEXT) === 0) return;
      index = flagsAndNext >>> 16;
      if (index >= entries) throw new RingError("a descriptor outside its table");
    }
  }

  /** Puts a chain into the used ring; the guest sees it with `publish`. */
  put(head: number, written: number): void {
    const slot = this.#used32 + 1 + (this.#nextUsed & this.#mask) * 2;
    this.#u32[slot] = head;
    this.#u32[slot + 1] = written;
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
  }

  /** Shows the guest what was put; true when it wants to be told (§2.7.7). */
  publish(): boolean {
    const before = this.#published;
    const now = this.#nextUsed;
    if (before === now) return false;
    this.#u16[this.#used16 + 1] = now;
    this.#published = now;
    Atomics.add(fence, 0, 0);
    if (!this.eventIdx) return (this.#u16[this.#available16]! & AVAIL_F_NO_INTERRUPT) === 0;
    // §2.7.7.2: used_event stands behind the available ring
    const event = this.#u16[this.#available16 + 2 + this.size]!;
    return ((now - event - 1) & 0xffff) < ((now - before) & 0xffff);
  }

  /** Asks for a kick with the next chain; true when one came meanwhile (look again). */
  enableKick(): boolean {
    if (this.eventIdx) {
      // §2.7.10: avail_event stands behind the used ring
      this.#u16[this.#used16 + 2 + 4 * this.size] = this.#nextAvailable;
    } else {
      this.#u16[this.#used16] = 0;
    }
    Atomics.add(fence, 0, 0);
    return this.#u16[this.#available16 + 1] !== this.#nextAvailable;
  }

  /** With EVENT_IDX there is nothing to do: the old event lies behind. */
  disableKick(): void {
    if (!this.eventIdx) this.#u16[this.#used16] = 1;
  }
}
