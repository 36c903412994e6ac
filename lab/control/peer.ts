/**
 * One end of a control connection: messages both ways, and channels with streams. Both the command
 * line and the supervisor use it; what the messages mean is theirs.
 *
 *     socket <-> FrameReader -> onMessage(message)
 *                            -> channel(n).incoming(stream)   DATA, CLOSE
 *                            -> channel(n).outgoing(stream)   CREDIT, CLOSE
 */

import type { Duplex } from "node:stream";
import { encodeHeader, FRAME, type Frame, FrameReader } from "./frames.ts";
import { IncomingStream, OutgoingStream, type SendFrame } from "./streams.ts";

export interface PeerHandlers {
  readonly onMessage: (message: unknown) => void;
  /** Once, when the connection is gone; with a cause where that was not the other side's wish. */
  readonly onEnd: (cause?: unknown) => void;
}

const NOTHING = Buffer.alloc(0);

/** The streams of one command or console. */
export class Channel {
  readonly #send: (stream: number) => SendFrame;
  readonly #incoming = new Map<number, IncomingStream>();
  readonly #outgoing = new Map<number, OutgoingStream>();

  constructor(send: (stream: number) => SendFrame) {
    this.#send = send;
  }

  incoming(stream: number): IncomingStream {
    let found = this.#incoming.get(stream);
    if (found === undefined) {
      found = new IncomingStream(this.#send(stream));
      this.#incoming.set(stream, found);
    }
    return found;
  }

  outgoing(stream: number): OutgoingStream {
    let found = this.#outgoing.get(stream);
    if (found === undefined) {
      found = new OutgoingStream(this.#send(stream));
      this.#outgoing.set(stream, found);
    }
    return found;
  }

  take({ kind, stream, payload }: Frame): void {
    if (kind === FRAME.DATA) this.#incoming.get(stream)?.receive(payload);
    else if (kind === FRAME.CREDIT) this.#outgoing.get(stream)?.grant(payload.readUInt32LE(0));
    else {
      this.#incoming.get(stream)?.finish();
      this.#outgoing.get(stream)?.finish();
    }
  }

  /** Nothing comes or goes any more. */
  finish(): void {
    for (const stream of this.#incoming.values()) stream.finish();
    for (const stream of this.#outgoing.values()) stream.finish();
  }
}

export class Peer {
  readonly #socket: Duplex;
  readonly #reader = new FrameReader();
  readonly #channels = new Map<number, Channel>();
  readonly #handlers: PeerHandlers;
  #ended = false;

  constructor(socket: Duplex, handlers: PeerHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", () => this.#end());
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
  }

  send(message: unknown): void {
    if (this.#ended) return;
    const payload = Buffer.from(JSON.stringify(message));
    this.#write(FRAME.MESSAGE, 0, 0, payload);
  }

  /** The channel of this number, opened at first use; a number is used once a connection. */
  channel(id: number): Channel {
    let channel = this.#channels.get(id);
    if (channel === undefined) {
      channel = new Channel((stream) => (kind, payload, sent) => {
        if (this.#channels.has(id)) this.#write(kind, stream, id, payload, sent);
        else sent?.();
      });
      this.#channels.set(id, channel);
    }
    return channel;
  }

  closeChannel(id: number): void {
    this.#channels.get(id)?.finish();
    this.#channels.delete(id);
  }

  /** Resolves when what was sent has left, or never can. */
  flush(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#ended || this.#socket.destroyed) return resolve();
      this.#socket.write(NOTHING, () => resolve());
    });
  }

  /** Sends what is waiting, then ends the connection. */
  async close(): Promise<void> {
    await this.flush();
    this.#socket.destroy();
  }

  #write(
    kind: number,
    stream: number,
    channel: number,
    payload: Uint8Array,
    sent?: () => void,
  ): void {
    if (this.#ended || this.#socket.destroyed || this.#socket.writableEnded) {
      sent?.();
      return;
    }
    this.#socket.cork();
    this.#socket.write(encodeHeader(kind, stream, channel, payload.length));
    this.#socket.write(payload, () => sent?.());
    this.#socket.uncork();
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.take(chunk)) {
        if (frame.kind === FRAME.MESSAGE) {
          this.#handlers.onMessage(JSON.parse(frame.payload.toString("utf8")));
        } else this.#channels.get(frame.channel)?.take(frame);
      }
    } catch (error) {
      this.#socket.destroy(); // not one of us, or a bug of ours
      this.#end(error);
    }
  }

  #end(cause?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const channel of this.#channels.values()) channel.finish();
    this.#channels.clear();
    if (!this.#socket.destroyed) this.#socket.destroy();
    this.#handlers.onEnd(cause);
  }
}
