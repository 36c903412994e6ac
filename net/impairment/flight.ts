/**
 * Frames on their way: each a slot (a number) that is due at a time. A binary heap in typed arrays,
 * ordered by time and then by arrival: frames that are due together leave as they came. It holds
 * 100 000 frames and more; past `most` it takes no more.
 */

const FIRST_SIZE = 256;

export class Flight {
  count = 0;
  /** When the slot that was taken last was due. */
  takenDueNs = 0;
  readonly #most: number;
  #dues = new Float64Array(FIRST_SIZE);
  #order = new Float64Array(FIRST_SIZE);
  #slots = new Int32Array(FIRST_SIZE);
  #arrivals = 0;
  /** One frame that waits for the next to overtake it; -1 where there is none. */
  #held = -1;
  #heldUntilNs = 0;

  constructor(most = 131_072) {
    this.#most = most;
  }

  get isFull(): boolean {
    return this.count >= this.#most;
  }

  /** When the next frame is due; Infinity where there is none. */
  get nextDueNs(): number {
    const heap = this.count > (this.#held < 0 ? 0 : 1) ? this.#dues[0]! : Number.POSITIVE_INFINITY;
    return this.#held < 0 ? heap : Math.min(heap, this.#heldUntilNs);
  }

  /** False where it is full. A frame that was held back leaves right behind this one. */
  push(slot: number, dueNs: number): boolean {
    if (this.isFull) return false;
    this.#insert(slot, dueNs);
    this.#letGo(dueNs);
    return true;
  }

  /** Holds a frame back until the next `push`, at most until `untilNs`. False where it is full. */
  holdBack(slot: number, untilNs: number): boolean {
    if (this.isFull) return false;
    this.#letGo(untilNs);
    this.#held = slot;
    this.#heldUntilNs = untilNs;
    this.count++;
    return true;
  }

  /** The next slot that is due, or -1. */
  take(nowNs: number): number {
    if (this.#held >= 0 && this.#heldUntilNs <= nowNs) this.#letGo(this.#heldUntilNs);
    const inHeap = this.count - (this.#held < 0 ? 0 : 1);
    if (inHeap === 0 || this.#dues[0]! > nowNs) return -1;
    const slot = this.#slots[0]!;
    this.takenDueNs = this.#dues[0]!;
    this.count--;
    this.#removeFirst(inHeap - 1);
    return slot;
  }

  #letGo(dueNs: number): void {
    if (this.#held < 0) return;
    const slot = this.#held;
    this.#held = -1;
    this.count--;
    this.#insert(slot, Math.min(dueNs, this.#heldUntilNs));
  }

  #insert(slot: number, dueNs: number): void {
    let at = this.count - (this.#held < 0 ? 0 : 1);
    if (at === this.#dues.length) this.#grow();
    const dues = this.#dues;
    const order = this.#order;
    const slots = this.#slots;
    // a later arrival never passes an equal due time on its way up
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (dues[parent]! <= dueNs) break;
      dues[at] = dues[parent]!;
      order[at] = order[parent]!;
      slots[at] = slots[parent]!;
      at = parent;
    }
    dues[at] = dueNs;
    order[at] = this.#arrivals++;
    slots[at] = slot;
    this.count++;
  }

  /** Puts the last of `size + 1` entries where the first was, and lets it sink. */
  #removeFirst(size: number): void {
    const dues = this.#dues;
    const order = this.#order;
    const slots = this.#slots;
    const due = dues[size]!;
    const arrival = order[size]!;
    const slot = slots[size]!;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      const right = child + 1;
      if (
        right < size &&
        (dues[right]! < dues[child]! ||
          (dues[right] === dues[child] && order[right]! < order[child]!))
      ) {
        child = right;
      }
      if (due < dues[child]! || (due === dues[child] && arrival < order[child]!)) break;
      dues[at] = dues[child]!;
      order[at] = order[child]!;
      slots[at] = slots[child]!;
      at = child;
    }
    dues[at] = due;
    order[at] = arrival;
    slots[at] = slot;
  }

  #grow(): void {
    const size = this.#dues.length * 2;
    const dues = new Float64Array(size);
    const order = new Float64Array(size);
    const slots = new Int32Array(size);
    dues.set(this.#dues);
    order.set(this.#order);
    slots.set(this.#slots);
    this.#dues = dues;
    this.#order = order;
    this.#slots = slots;
  }
}
