/**
 * A queue of blocks between the fabric, which must never wait, and a thread that writes them out and
 * may. One writer, one reader, shared memory, no lock; what finds it full is not recorded.
 *
 *     fabric: reserve, fill, commit, publish --> | block | block | ...free... | --> thread: peek, release
 *
 * The blocks of a batch come in the order in which they are committed, but should be read in the one
 * that they were given: `publish` puts them into it.
 *
 * A block never wraps: where it does not fit before the end of the memory, a 0 in place of its type
 * sends the reader back to the start. Blocks are a multiple of 4 bytes, so the 0 always fits.
 */

const WRITE = 0;
const READ = 1;
const STATE = 2;
const CONTROL_BYTES = 64;

export const RUNNING = 0;
/** The fabric asks the thread to write what is there and to end. */
export const FINISH = 1;
/** The thread ended: the reader went away, or writing failed. */
export const ENDED = 2;

export class BlockRing {
  readonly memory: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #control: Int32Array;
  readonly #size: number;
  /** Up to here the reader may read, once it is told; behind it a block may stand that is not whole. */
  #write = 0;
  #reserved = 0;
  /** The orders of the blocks since the last `publish`, and where these begin. */
  #orders: number[] = [];
  #batchAt = 0;
  #inOrder = true;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#control = new Int32Array(memory, 0, CONTROL_BYTES / 4);
    this.bytes = new Uint8Array(memory, CONTROL_BYTES);
    this.view = new DataView(memory, CONTROL_BYTES);
    this.#size = this.bytes.length;
  }

  static ofBytes(bytes: number): BlockRing {
    return new BlockRing(new SharedArrayBuffer(CONTROL_BYTES + (bytes & ~3)));
  }

  get state(): number {
    return Atomics.load(this.#control, STATE);
  }

  set state(value: number) {
    Atomics.store(this.#control, STATE, value);
    Atomics.notify(this.#control, WRITE);
  }

  /**
   * Where a block of `length` bytes may be written, or -1 where there is no room.
   * @param spare bytes behind it that must be free as well: for blocks that will come for sure.
   */
  reserve(length: number, spare = 0): number {
    const write = this.#write;
    const read = Atomics.load(this.#control, READ);
    // one word stays free, so that full and empty differ
    const room = length + spare + 4;
    if (write >= read) {
      if (write + room <= this.#size) return this.#keep(write, length);
      if (room <= read) {
        this.view.setUint32(write, 0, true);
        return this.#keep(0, length);
      }
      return -1;
    }
    return write + room <= read ? this.#keep(write, length) : -1;
  }

  /** What was reserved is a whole block now. @param order blocks of a lower one are read first. */
  commit(order: number): void {
    const { length } = this.#orders;
    if (length > 0 && this.#orders[length - 1]! > order) this.#inOrder = false;
    this.#orders.push(order);
    this.#write = this.#reserved;
  }

  /** Appends a block that stands elsewhere; false where there is no room. */
  append(block: Uint8Array, order: number): boolean {
    const at = this.reserve(block.length);
    if (at < 0) return false;
    this.bytes.set(block, at);
    this.commit(order);
    return true;
  }

  /** Shows the reader the blocks of this batch, and wakes it. */
  publish(): void {
    if (this.#orders.length === 0) return;
    if (!this.#inOrder) this.#putInOrder();
    this.#orders.length = 0;
    this.#batchAt = this.#write;
    this.#inOrder = true;
    Atomics.store(this.#control, WRITE, this.#write);
    Atomics.notify(this.#control, WRITE);
  }

  #putInOrder(): void {
    const orders = this.#orders;
    let at = this.#batchAt;
    for (let next = 0; next < orders.length; ) {
      // where the memory's end comes between, each side is put in order for itself
      if (this.view.getUint32(at, true) === 0) at = 0;
      const start = at;
      const blocks: { readonly bytes: Uint8Array; readonly order: number }[] = [];
      while (next < orders.length && this.view.getUint32(at, true) !== 0) {
        const end = at + this.view.getUint32(at + 4, true);
        blocks.push({ bytes: this.bytes.slice(at, end), order: orders[next++]! });
        at = end;
      }
      let to = start;
      for (const { bytes } of blocks.sort((a, b) => a.order - b.order)) {
        this.bytes.set(bytes, to);
        to += bytes.length;
      }
    }
  }

  /** The blocks that stand one behind the other, as many as there are; empty where there are none. */
  peek(): Uint8Array {
    for (;;) {
      const write = Atomics.load(this.#control, WRITE);
      const read = this.#control[READ]!;
      if (read === write) return this.bytes.subarray(0, 0);
      if (this.view.getUint32(read, true) === 0) {
        Atomics.store(this.#control, READ, 0);
        continue;
      }
      if (read < write) return this.bytes.subarray(read, write);
      let end = read;
      while (end + 4 <= this.#size && this.view.getUint32(end, true) !== 0) {
        end += this.view.getUint32(end + 4, true);
      }
      return this.bytes.subarray(read, end);
    }
  }

  /** Gives back the first `length` bytes of what `peek` answered: whole blocks. */
  release(length: number): void {
    Atomics.store(this.#control, READ, this.#control[READ]! + length);
  }

  /** Waits until something was written, at most `ms`. */
  wait(ms: number): void {
    Atomics.wait(this.#control, WRITE, this.#control[READ]!, ms);
  }

  /** Just waits: for a reader that takes nothing now. */
  pause(ms: number): void {
    Atomics.wait(this.#control, CONTROL_BYTES / 4 - 1, 0, ms);
  }

  #keep(at: number, length: number): number {
    this.#reserved = at + length;
    return at;
  }
}
