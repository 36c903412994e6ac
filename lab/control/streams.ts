/**
 * A channel's streams. A writer may be WINDOW bytes ahead of its reader; the reader gives credit back
 * for what was consumed, so that a slow terminal holds back the command in the guest and nothing is
 * gathered in between.
 */

import { Readable, Writable } from "node:stream";
import { FRAME } from "./frames.ts";

export const WINDOW = 256 << 10;
const MAX_DATA = 64 << 10;
const NOTHING = Buffer.alloc(0);

export type SendFrame = (kind: number, payload: Uint8Array, sent?: () => void) => void;

/** What goes to the other side. */
export class OutgoingStream extends Writable {
  readonly #send: SendFrame;
  #credit = WINDOW;
  #over = false;
  #resume: (() => void) | undefined;

  constructor(send: SendFrame) {
    super({ highWaterMark: MAX_DATA });
    this.#send = send;
    this.on("error", () => {}); // its reader can go at any time
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

  #sendFrom(chunk: Buffer, from: number, done: () => void): void {
    let at = from;
    while (!this.#over && at < chunk.length && this.#credit > 0) {
      const part = chunk.subarray(at, at + Math.min(MAX_DATA, this.#credit));
      this.#credit -= part.length;
      at += part.length;
      this.#send(FRAME.DATA, part, at === chunk.length ? done : undefined);
    }
    if (at === chunk.length && at > from) return; // `done` goes with the last part
    if (this.#over || at === chunk.length) done();
    else this.#resume = () => this.#sendFrom(chunk, at, done);
  }

  override _final(done: () => void): void {
    if (!this.#over) this.#send(FRAME.CLOSE, NOTHING);
    done();
  }
}

/** What comes from the other side. */
export class IncomingStream extends Readable {
  readonly #send: SendFrame;
  #received = 0;
  #granted = 0;
  #over = false;

  constructor(send: SendFrame) {
    super({ highWaterMark: WINDOW });
    this.#send = send;
  }

  receive(bytes: Uint8Array): void {
    if (this.#over || this.destroyed) return;
    this.#received += bytes.length;
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
    if (!this.#over) this.#send(FRAME.CLOSE, NOTHING);
    this.#over = true;
    done(error);
  }

  #grant(): void {
    if (this.#over) return;
    const consumed = this.#received - this.readableLength - this.#granted;
    if (consumed < WINDOW / 8) return;
    this.#granted += consumed;
    const bytes = Buffer.allocUnsafe(4);
    bytes.writeUInt32LE(consumed);
    this.#send(FRAME.CREDIT, bytes);
  }
}
