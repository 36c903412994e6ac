/**
 * Room for frames that stay a while: slots of a few sizes in one region of memory, taken and given
 * back without allocating. A megabyte at a time is cut into slots of one size when they run out;
 * when the region is used up, frames are refused and the caller drops them.
 */

const CHUNK_BITS = 20;
const CHUNK_BYTES = 1 << CHUNK_BITS;
/** Small frames, frames of an ordinary MTU, of 9000, and whole GSO frames. */
const SLOT_BYTES = [256, 2048, 10_240, 80 * 1024] as const;

export class FramePool {
  readonly #chunks: number;
  readonly #sizeOfChunk: Uint8Array;
  readonly #free: SlotStack[] = SLOT_BYTES.map(() => new SlotStack());
  #cut = 0;
  /** Slots that are taken. */
  used = 0;

  /** @param bytes the region's length. */
  constructor(bytes: number) {
    this.#chunks = Math.floor(bytes / CHUNK_BYTES);
    this.#sizeOfChunk = new Uint8Array(this.#chunks);
  }

  /** The offset in the region of a slot for `bytes`, or -1 where there is no room. */
  take(bytes: number): number {
    let size = 0;
    while (size < SLOT_BYTES.length && SLOT_BYTES[size]! < bytes) size++;
    const free = this.#free[size];
    if (free === undefined || (free.count === 0 && !this.#cutChunk(size))) return -1;
    this.used++;
    return free.pop();
  }

  give(slot: number): void {
    this.used--;
    this.#free[this.#sizeOfChunk[slot >>> CHUNK_BITS]!]!.push(slot);
  }

  #cutChunk(size: number): boolean {
    if (this.#cut === this.#chunks) return false;
    const chunk = this.#cut++;
    this.#sizeOfChunk[chunk] = size;
    const bytes = SLOT_BYTES[size]!;
    const start = chunk * CHUNK_BYTES;
    // the last goes in first, so that slots are used from the front
    for (let at = Math.floor(CHUNK_BYTES / bytes) - 1; at >= 0; at--) {
      this.#free[size]!.push(start + at * bytes);
    }
    return true;
  }
}

class SlotStack {
  count = 0;
  #slots = new Int32Array(1024);

  push(slot: number): void {
    if (this.count === this.#slots.length) {
      const longer = new Int32Array(this.count * 2);
      longer.set(this.#slots);
      this.#slots = longer;
    }
    this.#slots[this.count++] = slot;
  }

  pop(): number {
    return this.#slots[--this.count]!;
  }
}
