/**
 * How the control socket is cut into frames. Little-endian:
 *
 *     u32 length of the payload | u8 kind | u8 stream | u32 channel | payload
 *
 * MESSAGE carries one JSON value (`messages.ts`). DATA, CREDIT and CLOSE belong to a stream (0 input,
 * 1 output, 2 error) of a channel, which a message opened.
 */

export const FRAME = { MESSAGE: 0, DATA: 1, CREDIT: 2, CLOSE: 3 } as const;
export const STREAM = { INPUT: 0, OUTPUT: 1, ERROR: 2 } as const;

const HEADER_BYTES = 10;
/** A plan brings its files along. */
const MAX_PAYLOAD = 512 << 20;

export interface Frame {
  readonly kind: number;
  readonly stream: number;
  readonly channel: number;
  readonly payload: Buffer;
}

export function encodeHeader(
  kind: number,
  stream: number,
  channel: number,
  payloadBytes: number,
): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt32LE(payloadBytes, 0);
  header.writeUInt8(kind, 4);
  header.writeUInt8(stream, 5);
  header.writeUInt32LE(channel, 6);
  return header;
}

/** Puts frames together from chunks of any size. Throws on what cannot be a frame. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #bytes = 0;

  *take(chunk: Buffer): Generator<Frame> {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= HEADER_BYTES) {
      const header = this.#peek(HEADER_BYTES);
      const length = header.readUInt32LE(0);
      const kind = header.readUInt8(4);
      if (length > MAX_PAYLOAD || kind > FRAME.CLOSE) throw new Error("not a control frame");
      if (this.#bytes < HEADER_BYTES + length) return;
      const whole = this.#peek(HEADER_BYTES + length);
      this.#chunks[0] = (this.#chunks[0] as Buffer).subarray(whole.length);
      this.#bytes -= whole.length;
      yield {
        kind,
        stream: header.readUInt8(5),
        channel: header.readUInt32LE(6),
        payload: whole.subarray(HEADER_BYTES),
      };
    }
  }

  /** The first bytes in one piece; they stay. */
  #peek(bytes: number): Buffer {
    const first = this.#chunks[0] as Buffer;
    if (first.length >= bytes) return first.subarray(0, bytes);
    const whole = Buffer.concat(this.#chunks, this.#bytes);
    this.#chunks = [whole];
    return whole.subarray(0, bytes);
  }
}
