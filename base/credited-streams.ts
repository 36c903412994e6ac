/**
 * Streams over a connection that they share with others. A writer sends as much as it was granted
 * credit for, a reader gives credit back for what was consumed: so backpressure goes from the reader
 * at one end to the writer at the other, and every buffer between them is bounded.
 *
 *     CreditedWriter --- data, close --> (connection) ---> CreditedReader
 *                    <-- credit, close --              <---
 */

import { Readable, Writable } from "node:stream";

/** How a writer speaks to the reader at the other end. */
export interface WriterWire {
  /** Calls `sent` when the connection took the bytes. */
  data(bytes: Uint8Array, sent?: () => void): void;
  /** The end of the stream. */
  close(): void;
}

export interface WriterLimits {
  /** Bytes that may go before any are granted; with 0, the end waits for the first grant too. */
  readonly credit: number;
  /** Bytes that go in one piece. */
  readonly longest: number;
}

export class CreditedWriter extends Writable {
  readonly #wire: WriterWire;
  readonly #longest: number;
  #credit: number;
  #over = false;
  #resume: (() => void) | undefined;

  constructor(wire: WriterWire, { credit, longest }: WriterLimits) {
    super({ highWaterMark: longest });
    this.#wire = wire;
    this.#longest = longest;
    this.#credit = credit;
    // Its end can come at any time, as a pipe's can: writing on is not the writer's mistake.
    this.on("error", () => {});
  }

  grant(bytes: number): void {
    this.#credit += bytes;
    this.#wake();
  }

  /** Nobody reads it any more: what still comes is dropped. */
  finish(): void {
    this.#over = true;
    this.#wake();
  }

  #wake(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#sendFrom(chunk, 0, done);
  }

  #sendFrom(chunk: Uint8Array, from: number, done: () => void): void {
    let at = from;
    while (!this.#over && at < chunk.length && this.#credit > 0) {
      const length = Math.min(chunk.length - at, this.#longest, this.#credit);
      this.#credit -= length;
      const part = chunk.subarray(at, at + length);
      at += length;
      this.#wire.data(part, at === chunk.length ? done : undefined);
    }
    if (at === chunk.length && from < at) return; // `done` goes with the last part
    if (this.#over || at === chunk.length) done();
    else this.#resume = () => this.#sendFrom(chunk, at, done);
  }

  override _final(done: () => void): void {
    const close = () => {
      if (!this.#over) this.#wire.close();
      done();
    };
    if (this.#credit > 0 || this.#over) close();
    else this.#resume = close;
  }
}

/** How a reader speaks to the writer at the other end. */
export interface ReaderWire {
  /** So many bytes more may come. */
  credit(bytes: number): void;
  /** Nobody reads it any more. */
  close(): void;
}

export class CreditedReader extends Readable {
  readonly #wire: ReaderWire;
  readonly #window: number;
  #received = 0;
  #granted = 0;
  #over = false;

  /** @param window bytes that may come before any were granted. */
  constructor(wire: ReaderWire, window: number) {
    super({ highWaterMark: window });
    this.#wire = wire;
    this.#window = window;
  }

  /** Data that came. Throws where it is more than was granted: then the other end is not one of ours. */
  receive(bytes: Uint8Array): void {
    this.#received += bytes.length;
    if (this.#received > this.#granted + this.#window) {
      throw new Error("the other end sent more than it was granted");
    }
    if (this.#over || this.destroyed) return;
    this.push(bytes);
    this.#grant();
  }

  /** No more will come. */
  finish(): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.destroyed) this.push(null);
  }

  override read(size?: number): ReturnType<Readable["read"]> {
    const chunk = super.read(size);
    this.#grant();
    return chunk;
  }

  override _read(): void {
    // Data comes by itself, as far as there is credit.
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#over) this.#wire.close();
    this.#over = true;
    done(error);
  }

  /** Credit for what was consumed, in large steps. */
  #grant(): void {
    if (this.#over) return;
    const consumed = this.#received - this.readableLength - this.#granted;
    if (consumed < this.#window / 8) return;
    this.#granted += consumed;
    this.#wire.credit(consumed);
  }
}
