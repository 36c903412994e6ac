/** Reads what a capture wrote: times that are exact to the nanosecond, and the frames. */

import { readFileSync } from "node:fs";

const PACKET = 6;
const PACKET_HEAD = 28;
const FLAGS = 2;
const COMMENT = 1;

export interface CapturedFrame {
  /** Nanoseconds since 1970. */
  readonly timeNs: bigint;
  /** Whether it came in at its interface. */
  readonly inbound: boolean;
  readonly comment: string;
  readonly bytes: Buffer;
  /** Of the whole frame, though less was kept. */
  readonly length: number;
}

export function readCapture(path: string): CapturedFrame[] {
  const file = readFileSync(path);
  const found: CapturedFrame[] = [];
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== PACKET) continue;
    const high = BigInt(file.readUInt32LE(at + 12));
    const time = (high << 32n) | BigInt(file.readUInt32LE(at + 16));
    const kept = file.readUInt32LE(at + 20);
    const data = at + PACKET_HEAD;
    const options = optionsOf(file, data + ((kept + 3) & ~3));
    found.push({
      timeNs: time,
      inbound: (options.get(FLAGS)?.readUInt32LE() ?? 0) === 1,
      comment: options.get(COMMENT)?.toString() ?? "",
      bytes: file.subarray(data, data + kept),
      length: file.readUInt32LE(at + 24),
    });
  }
  return found;
}

function optionsOf(file: Buffer, from: number): Map<number, Buffer> {
  const options = new Map<number, Buffer>();
  for (let at = from; file.readUInt16LE(at) !== 0; ) {
    const bytes = file.readUInt16LE(at + 2);
    options.set(file.readUInt16LE(at), file.subarray(at + 4, at + 4 + bytes));
    at += 4 + ((bytes + 3) & ~3);
  }
  return options;
}
