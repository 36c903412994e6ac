/**
 * The thread that writes one capture: takes blocks out of the ring and puts them where they go. It
 * ends when it is told to and has written all, or when nobody reads any more.
 */

import { workerData } from "node:worker_threads";
import { Output, type OutputSpec } from "./output.ts";
import { BlockRing, ENDED, RUNNING } from "./ring.ts";

/** Blocks gather for so long before they are written together. */
const GATHER_MS = 20;
const RETRY_MS = 5;
/** A reader that takes nothing for so long after the end is not waited for. */
const LAST_TRIES = 200;

const { memory, output: spec } = workerData as {
  readonly memory: SharedArrayBuffer;
  readonly output: OutputSpec;
};
const ring = new BlockRing(memory);
let output: Output | undefined;
let triesLeft = LAST_TRIES;
let outBefore = 0;

/** Waits a little; false when it is time to give up. */
function pause(): boolean {
  ring.pause(RETRY_MS);
  const out = output?.out ?? 0;
  if (ring.state === RUNNING || out !== outBefore) triesLeft = LAST_TRIES;
  outBefore = out;
  return --triesLeft > 0;
}

function open(): Output {
  for (;;) {
    try {
      return new Output(spec);
    } catch (error) {
      // a FIFO without a reader yet
      if ((error as NodeJS.ErrnoException).code !== "ENXIO" || !pause()) throw error;
    }
  }
}

try {
  output = open();
  for (;;) {
    const state = ring.state;
    const blocks = ring.peek();
    if (blocks.length > 0) {
      ring.release(output.write(blocks, pause));
    } else if (state !== RUNNING) {
      break;
    } else {
      ring.wait(200);
      ring.pause(GATHER_MS);
    }
  }
  output.close();
} catch (error) {
  // EPIPE: the reader has seen enough
  if ((error as NodeJS.ErrnoException).code !== "EPIPE") console.error("capture:", error);
}
ring.state = ENDED;
