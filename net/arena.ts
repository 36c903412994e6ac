/**
 * Guests' RAM, mapped side by side into reserved regions of this process so that one typed array
 * reaches all of it: a frame is moved by `copyWithin`, without an allocation.
 *
 *     arena (2 GiB reserved): | scratch page | page of zeros | RAM of alice | RAM of bob | ...free... |
 *
 * A region that a guest left is covered with anonymous memory, never unmapped: an access that comes
 * late reads zeros instead of ending the process.
 */

import { fstatSync } from "node:fs";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  memcpy,
  mmap,
  munmap,
  PROT_READ,
  PROT_WRITE,
  viewOf,
} from "./libc/libc.ts";

/** Offsets stay below 2^31, V8's small integers. */
const ARENA_BYTES = 2 ** 31;
/** The longest ArrayBuffer of Node 20, less a page. */
const LARGEST_BYTES = 2 ** 32 - 4096;
export const PAGE = 4096;
/** Where an arena has a page that nobody writes. */
export const ZEROS_AT = PAGE;
const OWN_BYTES = 2 * PAGE;
/** What an arena can give out, unless it was made for one guest that is larger. */
export const ARENA_ROOM_BYTES = ARENA_BYTES - OWN_BYTES;
const READ_WRITE = PROT_READ | PROT_WRITE;
const NOTHING = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

export class Arena {
  readonly address: number;
  readonly bytes: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  /** Free ranges, sorted by offset, never touching. The first page, scratch for tags, and the zeros are never given out. */
  #free: { offset: number; bytes: number }[];

  constructor(bytes = ARENA_BYTES) {
    this.bytes = bytes;
    this.address = mmap(0, bytes, READ_WRITE, NOTHING, -1, 0);
    const buffer = viewOf(this.address, bytes);
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.#free = [{ offset: OWN_BYTES, bytes: bytes - OWN_BYTES }];
  }

  /** Reserves a range; -1 where there is no room. */
  take(bytes: number): number {
    const rounded = Math.ceil(bytes / PAGE) * PAGE;
    const index = this.#free.findIndex((range) => range.bytes >= rounded);
    const range = this.#free[index];
    if (range === undefined) return -1;
    const { offset } = range;
    if (range.bytes === rounded) this.#free.splice(index, 1);
    else this.#free[index] = { offset: offset + rounded, bytes: range.bytes - rounded };
    return offset;
  }

  give(offset: number, bytes: number): void {
    const rounded = Math.ceil(bytes / PAGE) * PAGE;
    mmap(this.address + offset, rounded, READ_WRITE, NOTHING | MAP_FIXED, -1, 0);
    this.#free.push({ offset, bytes: rounded });
    this.#free.sort((a, b) => a.offset - b.offset);
    for (let i = this.#free.length - 1; i > 0; i--) {
      const before = this.#free[i - 1]!;
      const after = this.#free[i]!;
      if (before.offset + before.bytes !== after.offset) continue;
      before.bytes += after.bytes;
      this.#free.splice(i, 1);
    }
  }

  map(offset: number, bytes: number, fd: number, fileOffset: number): void {
    mmap(this.address + offset, bytes, READ_WRITE, MAP_SHARED | MAP_FIXED, fd, fileOffset);
  }

  /** Whether the whole arena is free. */
  get empty(): boolean {
    return this.#free.length === 1 && this.#free[0]!.bytes === this.bytes - OWN_BYTES;
  }

  unmap(): void {
    munmap(this.address, this.bytes);
  }
}

/** A guest's RAM in an arena: `guest address - start + offset` is where a byte stands. */
export interface Region {
  readonly arena: Arena;
  readonly offset: number;
  readonly bytes: number;
  /** The guest address of the first byte. */
  readonly start: number;
}

/** All arenas of a fabric. */
export class Arenas {
  readonly #arenas: Arena[] = [];

  /** Maps a guest's RAM; throws a RangeError where it is larger than an arena can be. */
  map(fd: number, fileOffset: number, bytes: number, start: number): Region {
    if (!(bytes > 0 && bytes <= LARGEST_BYTES - OWN_BYTES)) {
      throw new RangeError(`a guest's RAM of ${bytes} bytes can't be mapped`);
    }
    if (fileOffset % PAGE !== 0) throw new RangeError(`RAM at the odd file offset ${fileOffset}`);
    // behind a file's end there is no memory, only SIGBUS
    if (!(fileOffset + bytes <= fstatSync(fd).size)) {
      throw new RangeError("a guest's RAM that is longer than its file");
    }
    const place = this.#place(bytes);
    try {
      place.arena.map(place.offset, bytes, fd, fileOffset);
    } catch (error) {
      place.arena.give(place.offset, bytes);
      throw error;
    }
    return { ...place, bytes, start };
  }

  /** Memory of our own beside the guests': for frames that are made or kept here. */
  take(bytes: number): Region {
    return { ...this.#place(bytes), bytes, start: 0 };
  }

  release({ arena, offset, bytes }: Region): void {
    arena.give(offset, bytes);
  }

  #place(bytes: number): { arena: Arena; offset: number } {
    for (const arena of this.#arenas) {
      const offset = arena.take(bytes);
      if (offset >= 0) return { arena, offset };
    }
    const arena = new Arena(bytes > ARENA_ROOM_BYTES ? LARGEST_BYTES : ARENA_BYTES);
    this.#arenas.push(arena);
    return { arena, offset: arena.take(bytes) };
  }
}

/** Up to so many bytes a loop here is done before a call into V8 or the C library has begun. */
const SHORT_BYTES = 160;

/** Copies within an arena or between two. The ranges do not overlap. */
export function copyBytes(
  to: Arena,
  toOffset: number,
  from: Arena,
  fromOffset: number,
  length: number,
): void {
  if (length <= SHORT_BYTES && (toOffset & 3) === 0 && (fromOffset & 1) === 0) {
    copyWords(to, toOffset, from, fromOffset, length);
  } else if (to === from) to.u8.copyWithin(toOffset, fromOffset, fromOffset + length);
  else memcpy(to.address + toOffset, from.address + fromOffset, length);
}

/**
 * Word by word. Linux gives receive buffers that begin at a word, and sends frames that begin two
 * bytes behind one (so that the IP header stands well): then each word is made of two halves.
 */
function copyWords(
  to: Arena,
  toOffset: number,
  from: Arena,
  fromOffset: number,
  length: number,
): void {
  const source = from.u32;
  const target = to.u32;
  let sourceAt = fromOffset >>> 2;
  let targetAt = toOffset >>> 2;
  const end = targetAt + (length >>> 2);
  if ((fromOffset & 2) === 0) {
    while (targetAt < end) target[targetAt++] = source[sourceAt++]!;
  } else {
    let before = source[sourceAt]!;
    while (targetAt < end) {
      const next = source[++sourceAt]!;
      target[targetAt++] = (before >>> 16) | (next << 16);
      before = next;
    }
  }
  for (let i = length & ~3; i < length; i++) to.u8[toOffset + i] = from.u8[fromOffset + i]!;
}
