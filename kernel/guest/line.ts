/**
 * Frames to and from a guest's agent over its serial line, in order, with the care that the way to
 * the guest needs (../agent/protocol.ts): at most LINE_WINDOW bytes on the line, and long payloads
 * through the inbox.
 *
 *     send -> queue -> [ short: line | long: inbox, its place: line ] -> agent
 *                 <- TAKEN <-
 */

import { writeSync } from "node:fs";
import type { Duplex } from "node:stream";
import { LabError, messageOf } from "../../base/errors.ts";
import {
  encodeFrame,
  encodeU32,
  FRAME,
  type Frame,
  FrameReader,
  HEADER_BYTES,
  INBOX_BYTES,
  INBOX_UNIT,
  LINE_WINDOW,
  PROTOCOL_VERSION,
} from "../agent/protocol.ts";

/** Up to here a payload costs less on the line than through the inbox. */
const SHORT_BYTES = 384;

export interface LineEvents {
  readonly onFrame: (frame: Frame) => void;
  /** The agent is up: once a boot. */
  readonly onHello: () => void;
  /** The line ended, or what came is not the protocol. Once. */
  readonly onEnd: (cause: Error) => void;
}

interface Queued {
  readonly frame: Frame;
  readonly sent: (() => void) | undefined;
}

/** A frame that the agent has not taken yet: its bytes on the line and where its payload ends. */
interface OnTheWay {
  readonly bytes: number;
  readonly inboxEnd: number | undefined;
}

export class Line {
  readonly #stream: Duplex;
  readonly #inbox: number;
  readonly #events: LineEvents;
  readonly #reader = new FrameReader();
  #queue: Queued[] = [];
  #onTheWay: OnTheWay[] = [];
  #bytesOnTheWay = 0;
  #taken = 0;
  /** The inbox is a ring: used from tail to head, both in 0 … INBOX_BYTES; equal: empty. */
  #head = 0;
  #tail = 0;
  #started = false;
  #over = false;

  constructor(stream: Duplex, inbox: number, events: LineEvents) {
    this.#stream = stream;
    this.#inbox = inbox;
    this.#events = events;
    stream.on("data", (chunk: Buffer) => {
      try {
        this.#reader.push(chunk, (frame) => this.#take(frame));
      } catch (error) {
        this.#end(new LabError("GUEST_FAILED", messageOf(error), { cause: error }));
      }
    });
    stream.on("error", (cause) =>
      this.#end(new LabError("GUEST_FAILED", "the guest is gone", { cause })),
    );
    stream.on("close", () => this.#end(new LabError("GUEST_FAILED", "the guest is gone")));
  }

  /** In order; `sent` is called once the frame has left the queue. */
  send(frame: Frame, sent?: () => void): void {
    if (this.#over) {
      sent?.();
      return;
    }
    this.#queue.push({ frame, sent });
    if (this.#queue.length === 1) this.#pump();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  #end(cause: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#stream.destroy();
    for (const { sent } of this.#queue.splice(0)) sent?.();
    this.#events.onEnd(cause);
  }

  #take(frame: Frame): void {
    const payload = Buffer.from(
      frame.payload.buffer,
      frame.payload.byteOffset,
      frame.payload.length,
    );
    if (frame.type === FRAME.TAKEN) {
      this.#taken += payload.readUInt32LE();
      for (let first = this.#onTheWay[0]; first && first.bytes <= this.#taken; ) {
        this.#taken -= first.bytes;
        this.#bytesOnTheWay -= first.bytes;
        if (first.inboxEnd !== undefined) this.#tail = first.inboxEnd;
        this.#onTheWay.shift();
        first = this.#onTheWay[0];
      }
      this.#pump();
    } else if (frame.type === FRAME.HELLO) {
      const version = payload.readUInt32LE(0);
      if (version !== PROTOCOL_VERSION) {
        throw new Error(`the agent speaks version ${version} of the protocol`);
      }
      // Nothing that was sent before counts any more.
      for (const { sent } of this.#queue.splice(0)) sent?.();
      this.#onTheWay = [];
      this.#bytesOnTheWay = this.#taken = this.#head = this.#tail = 0;
      this.#started = true;
      const nonce = encodeU32(payload.readUInt32LE(4));
      this.send({ channel: 0, type: FRAME.START, stream: 0, payload: nonce });
      this.#events.onHello();
    } else {
      this.#events.onFrame(frame);
    }
  }

  /** Sends what there is room for. */
  #pump(): void {
    if (!this.#started || this.#over) return;
    this.#stream.cork();
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const { frame, sent } = first;
      const { payload } = frame;
      const isLong = payload.length > SHORT_BYTES;
      const bytes = HEADER_BYTES + (isLong ? 4 : payload.length);
      if (this.#bytesOnTheWay + bytes > LINE_WINDOW) break;
      let inboxEnd: number | undefined;
      if (isLong) {
        const place = this.#reserve(payload.length);
        if (place === undefined) break;
        inboxEnd = this.#head;
        writeSync(this.#inbox, payload, 0, payload.length, place);
        const onLine = { ...frame, type: frame.type | FRAME.LONG, payload: encodeU32(place) };
        this.#stream.write(encodeFrame(onLine, payload.length));
      } else {
        this.#stream.write(encodeFrame(frame));
      }
      this.#onTheWay.push({ bytes, inboxEnd });
      this.#bytesOnTheWay += bytes;
      this.#queue.shift();
      sent?.();
    }
    this.#stream.uncork();
  }

  /** A place in the inbox for this many bytes in one piece, or undefined while it is too full. */
  #reserve(length: number): number | undefined {
    const size = Math.ceil(length / INBOX_UNIT) * INBOX_UNIT;
    if (this.#head >= this.#tail) {
      if (this.#head + size <= INBOX_BYTES) return this.#advance(this.#head, size);
      // Never up to the tail: equal means empty.
      return size < this.#tail ? this.#advance(0, size) : undefined;
    }
    return this.#head + size < this.#tail ? this.#advance(this.#head, size) : undefined;
  }

  #advance(from: number, size: number): number {
    this.#head = from + size;
    return from;
  }
}
