/**
 * Streams of data between two guests (`kernel/agent/load.c`): the program is put into a guest when it
 * is first needed there, so that they can be measured whatever their images hold.
 */

import { parseIp } from "../../base/addresses.ts";
import { LabError } from "../../base/errors.ts";
import type { ExecResult, GuestProcess, RunningGuest } from "../../kernel/guest/spec.ts";
import { equip, hexOf } from "./guest-programs.ts";
import { within } from "./within.ts";

const SIGKILL = 9;
/** Beyond its own time: for its start, and for what is still on its way. */
const SPARE_MS = 25_000;

function wordFor(address: string): string {
  const parsed = parseIp(address);
  if (parsed === undefined) throw new LabError("GUEST_FAILED", `${address} is no address`);
  return hexOf(parsed);
}

/** A load program that runs: killed with the signal, or when it takes too long. */
async function start(
  guest: RunningGuest,
  words: readonly (string | number)[],
  forMs: number,
  signal: AbortSignal,
): Promise<{ readonly process: GuestProcess; readonly result: Promise<ExecResult> }> {
  const program = await equip(guest, "load");
  signal.throwIfAborted();
  const process = guest.exec({ command: [program, ...words.map(String)] });
  process.stdin.end();
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    process[name].setEncoding("utf8");
    process[name].on("data", (chunk: string) => {
      texts[name] += chunk;
    });
  }
  const kill = () => process.kill(SIGKILL);
  signal.addEventListener("abort", kill);
  const result = within(process.exit, forMs + SPARE_MS, signal)
    .then(({ code }) => ({ code, ...texts }))
    .finally(() => {
      signal.removeEventListener("abort", kill);
      kill();
    });
  result.catch(() => {}); // awaited by whoever wants it
  return { process, result };
}

export interface Stream {
  readonly protocol: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  /** Of TCP: what is left out at the beginning, while it finds its speed. */
  readonly skipMs: number;
  readonly forMs: number;
  /** 0: as fast as it goes. */
  readonly rateBitsPerSec: number;
}

export interface StreamResult {
  readonly bitsPerSec: number;
  /** Of UDP: datagrams; null where nobody can tell. */
  readonly sent: number | null;
  readonly received: number | null;
}

/** Sends one stream and answers what arrived. Throws where it could not begin. */
export async function runStream(
  from: RunningGuest,
  to: RunningGuest,
  { protocol, address, port, skipMs, forMs, rateBitsPerSec }: Stream,
  signal: AbortSignal,
): Promise<StreamResult> {
  const at = [wordFor(address), port];
  const spans = protocol === "tcp" ? [skipMs, forMs] : [forMs];
  const server = await start(to, [`${protocol}-serve`, ...at, ...spans], skipMs + forMs, signal);
  await within(firstLine(server.process, server.result), SPARE_MS, signal);
  const lasts = skipMs + forMs + (protocol === "tcp" ? 1000 : 0);
  const client = await start(
    from,
    [`${protocol}-send`, ...at, lasts, Math.round(rateBitsPerSec)],
    lasts,
    signal,
  );
  const sent = await client.result;
  if (sent.code !== 0) {
    server.process.kill(SIGKILL);
    throw new LabError("GUEST_FAILED", `${from.name} could not send: ${sent.stderr.trim()}`);
  }
  const got = await server.result;
  const numbers = got.stdout.trim().split("\n").at(-1)?.split(" ").map(Number) ?? [];
  if (got.code !== 0 || numbers.some(Number.isNaN)) {
    throw new LabError("GUEST_FAILED", `${to.name} could not receive: ${got.stderr.trim()}`);
  }
  if (protocol === "tcp") {
    const [bytes = 0, us = 0] = numbers;
    return { bitsPerSec: us === 0 ? 0 : (bytes * 8e6) / us, sent: null, received: null };
  }
  const [received = 0, bytes = 0, us = 0] = numbers;
  return {
    bitsPerSec: us === 0 ? 0 : (bytes * 8e6) / us,
    sent: Number(sent.stdout.trim()),
    received,
  };
}

/** Resolves when it has said its first word; rejects where it ended without. */
function firstLine(process: GuestProcess, result: Promise<ExecResult>): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.once("data", () => resolve());
    result.then(
      ({ stderr }) => reject(new LabError("GUEST_FAILED", `no stream: ${stderr.trim()}`)),
      reject,
    );
  });
}
