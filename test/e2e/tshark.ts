/** Wireshark's `tshark`, where it is installed: what tests look at captures with. */

import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import { expect } from "chai";
import { outcomeOf } from "./house.ts";
import { NOBODY } from "./nobody.ts";

const CHECKS = ["ip", "tcp", "udp"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`]);
/** Streams of tests go to port 99. Without their beginning, the other port might name a protocol. */
const STREAMS = ["-d", "tcp.port==99,data"];
/** Fields that have something, or whose first value is 0, in a frame that is not right. */
const BROKEN = ["_ws.malformed", "_ws.short"];
const CHECKSUMS = ["ip", "icmp", "icmpv6"].map((name) => `${name}.checksum.status`);
/** An ICMP error quotes what its guest received, where they may be unfinished. */
const QUOTED = ["tcp", "udp"].map((name) => `${name}.checksum.status`);

const OPTIONS = {
  cwd: "/",
  env: { PATH: process.env.PATH, HOME: tmpdir() },
  // as root it warns
  ...(process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
};

export async function isTsharkThere(): Promise<boolean> {
  const child = spawn("tshark", ["--version"], { stdio: "ignore" });
  return new Promise((resolve) => {
    child.once("error", () => resolve(false));
    child.once("exit", (status) => resolve(status === 0));
  });
}

/** Reads a capture from its standard input, as it comes. */
export function startTshark(...words: readonly string[]): ChildProcess {
  // Node's own pipes are sockets, which it does not read
  const command = ["-c", 'cat | exec tshark "$@"', "sh", "-n", "-l", "-r", "-", ...words];
  return spawn("sh", command, { ...OPTIONS, stdio: "pipe" });
}

/** What it says of a capture; expects that it ends well and warns of nothing. */
async function tshark(path: string, ...words: readonly string[]): Promise<string> {
  chmodSync(path, 0o644);
  const all = ["-n", ...CHECKS, ...STREAMS, "-r", path, ...words];
  const child = spawn("tshark", all, { ...OPTIONS, stdio: ["ignore", "pipe", "pipe"] });
  const { status, stdout, stderr } = await outcomeOf(child);
  expect({ status, stderr }, all.join(" ")).to.deep.equal({ status: 0, stderr: "" });
  return stdout;
}

export interface Seen {
  /** The fields of each frame, by name. */
  readonly frames: readonly Readonly<Record<string, string>>[];
  /** What the side that sends sent over the first TCP connection, put together from its segments. */
  readonly stream: Buffer;
}

/** Reads a capture, and expects that nothing is wrong with any frame of it. */
export async function readRight(path: string, ...fields: readonly string[]): Promise<Seen> {
  const seen = await read(path, "", ...fields);
  expect(seen.frames.filter((frame) => !isRight(frame))).to.deep.equal([]);
  return seen;
}

/** @param without frames that are as if they had not been captured, a display filter. */
export async function read(
  path: string,
  without: string,
  ...fields: readonly string[]
): Promise<Seen> {
  const all = ["frame.number", ...BROKEN, ...CHECKSUMS, ...QUOTED, "icmp", "icmpv6", ...fields];
  const text = await tshark(
    path,
    ...(without === "" ? [] : ["-2", "-R", `not (${without})`]),
    ...["-T", "fields", ...all.flatMap((field) => ["-e", field])],
    ...["-z", "follow,tcp,raw,0"],
  );
  const sent = text.split(/^Node 1: .*$/m)[1]?.match(/^[0-9a-f]+$/gm) ?? [];
  return {
    frames: (text.match(/^\d+\t.*$/gm) ?? []).map((row) => {
      const values = row.split("\t");
      return Object.fromEntries(all.map((field, index) => [field, values[index] ?? ""]));
    }),
    stream: Buffer.from(sent.join(""), "hex"),
  };
}

/** Whether it is one as a guest makes it: whole, its checksums true. */
export function isRight(frame: Readonly<Record<string, string>>): boolean {
  const isError = frame.icmp !== "" || frame.icmpv6 !== "";
  return (
    BROKEN.every((field) => frame[field] === "") &&
    [...CHECKSUMS, ...(isError ? [] : QUOTED)].every((field) => !/^0/.test(frame[field] ?? ""))
  );
}
