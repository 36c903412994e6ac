/** Captures that programs ask a running lab for: into files, or into FIFOs that they read. */

import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { CaptureCounters } from "../../net/control/messages.ts";
import type { RunningFabric } from "../../net/fabric.ts";
import type { CaptureRequest, StartedCapture } from "../api.ts";

export class Captures {
  /** The lab's: FIFOs are made there. */
  readonly #folder: string;
  #last = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async start(
    fabric: RunningFabric,
    { file, rotateBytes, keepFiles, ...what }: CaptureRequest,
  ): Promise<StartedCapture> {
    const capture = `c${++this.#last}`;
    const path = file ?? this.#fifo(capture);
    if (file === null) await promisify(execFile)("mkfifo", ["-m", "600", path]);
    const output = {
      path,
      ...(rotateBytes === undefined ? {} : { rotateBytes }),
      ...(keepFiles === undefined ? {} : { keepFiles }),
    };
    try {
      await fabric.request({ op: "capture-start", spec: { capture, output, ...what } });
    } catch (error) {
      if (file === null) rmSync(path, { force: true });
      throw error;
    }
    return { capture, path };
  }

  /** Null where it had ended already: its reader went away, or its file could not be written. */
  async stop(fabric: RunningFabric, capture: string): Promise<CaptureCounters | null> {
    const recorded = await fabric.request({ op: "capture-stop", capture });
    rmSync(this.#fifo(capture), { force: true });
    return recorded ?? null;
  }

  #fifo(capture: string): string {
    return join(this.#folder, `${capture}.fifo`);
  }
}
