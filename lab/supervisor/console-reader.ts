/**
 * A guest's console from its first byte, going on while it grows. The record on disk is the only
 * source, so nothing is twice and nothing is missing; inotify tells of news, nothing polls.
 */

import { watch } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";

export interface ConsoleReaderOptions {
  readonly follow: boolean;
  /** Whether more can come; asked when the end of the record is reached. */
  readonly goesOn: () => boolean;
  /** Calls back when `goesOn` may have changed; answers how to stop that. */
  readonly onChange: (callback: () => void) => () => void;
}

/** A record that grew too long goes on in a new file, and the one before is kept beside it. */
const OLDER = ".1";

export function readConsole(path: string, options: ConsoleReaderOptions): Readable {
  const closed = new AbortController();
  const stream = Readable.from(read(path, options, closed.signal), { objectMode: false });
  stream.once("close", () => closed.abort());
  return stream;
}

async function* read(
  path: string,
  { follow, goesOn, onChange }: ConsoleReaderOptions,
  closed: AbortSignal,
): AsyncGenerator<Buffer> {
  let wake = () => {};
  let news = false;
  const notify = () => {
    news = true;
    wake();
  };
  const stops: (() => void)[] = [];
  closed.addEventListener("abort", notify);
  if (follow) {
    stops.push(onChange(notify));
    const watcher = watch(dirname(path), notify);
    watcher.on("error", notify);
    stops.push(() => watcher.close());
  }
  let record = await Record.open(`${path}${OLDER}`);
  try {
    if (record !== undefined) yield* record.rest();
    await record?.close();
    record = undefined;
    while (!closed.aborted) {
      news = false;
      const last = !goesOn();
      record ??= await Record.open(path);
      if (record !== undefined) {
        yield* record.rest();
        if (await record.isOver(path)) {
          yield* record.rest(); // what was written between reading and renaming
          await record.close();
          record = undefined;
          continue;
        }
      }
      if (!follow || last) return;
      if (!news) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    for (const stop of stops) stop();
    await record?.close();
  }
}

class Record {
  readonly #file: FileHandle;
  #position = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async open(path: string): Promise<Record | undefined> {
    try {
      return new Record(await open(path, "r"));
    } catch {
      return undefined;
    }
  }

  async *rest(): AsyncGenerator<Buffer> {
    for (;;) {
      const buffer = Buffer.allocUnsafe(32 << 10);
      const { bytesRead } = await this.#file.read(buffer, 0, buffer.length, this.#position);
      if (bytesRead === 0) return;
      this.#position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  /** Whether the path leads to another record by now, or this one was begun again. */
  async isOver(path: string): Promise<boolean> {
    try {
      const [mine, there] = await Promise.all([this.#file.stat(), stat(path)]);
      return mine.ino !== there.ino || mine.size < this.#position;
    } catch {
      return false;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
