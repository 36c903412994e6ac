/** Runs the command of a check in a guest's shell, for so long and with so much output at most. */

import type { Readable } from "node:stream";
import { messageOf } from "../../base/errors.ts";
import type { RunningGuest } from "../../kernel/guest/spec.ts";
import type { CheckRun } from "../judge/checks.ts";
import { within } from "./within.ts";

const MOST_OUTPUT_BYTES = 64 << 10;
const SIGKILL = 9;
/** A guest that can't kill a command hangs. */
const KILL_SPARE_MS = 5000;

export async function runCheck(
  guest: () => RunningGuest,
  command: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<CheckRun> {
  const over = AbortSignal.any([signal, AbortSignal.timeout(Math.ceil(timeoutMs))]);
  try {
    const process = guest().exec({ command: ["sh", "-c", command] });
    const chunks: Buffer[] = [];
    let bytes = 0;
    const gather = (stream: Readable) =>
      stream.on("data", (chunk: Buffer) => {
        if (bytes < MOST_OUTPUT_BYTES) chunks.push(chunk.subarray(0, MOST_OUTPUT_BYTES - bytes));
        bytes += chunk.length;
      });
    const done = [process.stdout, process.stderr].map(
      (stream) => new Promise((resolve) => gather(stream).once("close", resolve)),
    );
    process.stdin.end();
    let late = false;
    const kill = () => {
      late = true;
      process.kill(SIGKILL);
    };
    over.addEventListener("abort", kill);
    try {
      const { code } = await within(process.exit, timeoutMs + KILL_SPARE_MS, signal);
      await Promise.all(done);
      return { output: Buffer.concat(chunks).toString("utf8"), exit: late ? null : code };
    } finally {
      over.removeEventListener("abort", kill);
    }
  } catch (error) {
    return { output: messageOf(error), exit: null };
  }
}
