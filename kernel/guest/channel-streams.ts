/**
 * A channel's streams: they hold back what the other side did not grant credit for, so that
 * backpressure goes from the reader at one end to the writer at the other.
 */

import { Readable, Writable } from "node:stream";
import {
  encodeU32,
  FRAME,
  INPUT_WINDOW,
  MAX_PAYLOAD,
  OUTPUT_WINDOW,
  STREAM,
} from "../agent/protocol.ts";

/** Sends a frame on the channel, or nothing once the channel has ended; then calls `sent`. */
export type SendFrame = (
  type: number,
  stream: number,
  payload: Uint8Array,
  sent?: () => void,
) => void;

const NOTHING = new Uint8Array();

/** What goes to a command's standard input. */
export class ChannelInput extends Writable {
  readonly #send: SendFrame;
  #credit = 0;
  #over = false;
  #resume: (() => void) | undefined;

  constructor(send: SendFrame) {
    super({ highWaterMark: MAX_PAYLOAD });
    this.#send = send;
    // Its end can come at any time, as a pipe's can: writing on is not the writer's mistake.
    this.on("error", () => {});
  }

  /** The channel is open: the first window may go. */
  begin(): void {
    this.grant(INPUT_WINDOW);
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
      const length = Math.min(chunk.length - at, MAX_PAYLOAD, this.#credit);
      this.#credit -= length;
      const part = chunk.subarray(at, at + length);
      at += length;
      this.#send(FRAME.DATA, STREAM.INPUT, part, at === chunk.length ? done : undefined);
    }
    if (at === chunk.length && from < at) return; // `done` goes with the last part
    if (this.#over || at === chunk.length) done();
    else this.#resume = () => this.#sendFrom(chunk, at, done);
  }

  override _final(done: () => void): void {
    const close = () => {
      this.#send(FRAME.CLOSE, STREAM.INPUT, NOTHING);
      done();
    };
    // Before the channel is open there is nothing to close yet.
    if (this.#credit > 0 || this.#over) close();
    else this.#resume = close;
  }
}

/** What comes from a command's standard output or error. */
export class ChannelOutput extends Readable {
  readonly #send: SendFrame;
  readonly #stream: number;
  #received = 0;
  #granted = 0;
  #over = false;

  constructor(send: SendFrame, stream: number) {
    super({ highWaterMark: OUTPUT_WINDOW });
    this.#send = send;
    this.#stream = stream;
  }

  /** Data that came. Throws where it is more than was granted: then it is not our agent. */
  receive(bytes: Uint8Array): void {
    this.#received += bytes.length;
    if (this.#received > this.#granted + OUTPUT_WINDOW) {
      throw new Error("the agent sent more than it was granted");
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
    if (!this.#over) this.#send(FRAME.CLOSE, this.#stream, NOTHING);
    this.#over = true;
    done(error);
  }

  /** Credit for what was consumed, in large steps. */
  #grant(): void {
    if (this.#over) return;
    const consumed = this.#received - this.readableLength - this.#granted;
    if (consumed < OUTPUT_WINDOW / 8) return;
    this.#granted += consumed;
    this.#send(FRAME.CREDIT, this.#stream, encodeU32(consumed));
  }
}
