/**
 * A guest's console: always recorded in a file, whether somebody looks or not; its end kept at hand
 * for error messages; and a live stream, which drops what a slow reader does not take.
 */

import { createWriteStream, renameSync, type WriteStream } from "node:fs";
import type { Duplex } from "node:stream";
import { Readable, Writable } from "node:stream";

const TAIL_BYTES = 4096;
/** A guest that writes without end must not fill the disk: two files of this size at most. */
const FILE_BYTES = 8 << 20;
const LIVE_BYTES = 256 << 10;

export class Console {
  readonly path: string;
  readonly output: Readable;
  readonly input: Writable;
  #file: WriteStream;
  #fileBytes = 0;
  #onWord: () => void = () => {};
  #tail: Buffer = Buffer.alloc(0);

  /** @param onInput called before what is typed goes to the guest, which waits for it. */
  constructor(path: string, line: Duplex, onInput: () => Promise<void>) {
    this.path = path;
    this.#file = createRecord(path);
    this.output = new Readable({ highWaterMark: LIVE_BYTES, read() {} });
    this.input = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        void onInput().then(() => {
          if (line.destroyed) done();
          else line.write(chunk, () => done());
        });
      },
    });
    line.on("data", (chunk: Buffer) => this.record(chunk));
    line.on("error", () => {}); // its end is told by the guest's
  }

  /** Resolves with the next thing that the guest says here, or after so long without a word. */
  nextWord(mostMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, mostMs);
      this.#onWord = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  record(chunk: Buffer): void {
    this.#onWord();
    this.#fileBytes += chunk.length;
    if (this.#fileBytes > FILE_BYTES) {
      this.#file.end();
      renameSync(this.path, `${this.path}.1`);
      this.#file = createRecord(this.path);
      this.#fileBytes = chunk.length;
    }
    this.#file.write(chunk);
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES);
    if (this.output.readableLength < LIVE_BYTES) this.output.push(chunk);
  }

  /** The last lines, without control characters that would play with a terminal. */
  get tail(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
    const text = this.#tail.toString("utf8").replace(/[\x00-\x08\x0b-\x1f\x7f]/g, "");
    return text.split("\n").slice(-20).join("\n").trim();
  }

  end(): Promise<void> {
    this.output.push(null);
    this.input.end();
    return new Promise((resolve) => this.#file.end(() => resolve()));
  }
}

function createRecord(path: string): WriteStream {
  const file = createWriteStream(path, { mode: 0o600 });
  file.on("error", () => {}); // a full disk must not stop the guest
  return file;
}
