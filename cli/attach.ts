/**
 * Ties a process in a guest to this one's streams. With a terminal: raw mode, so that every key
 * (Ctrl-C too) goes to the guest; its size follows ours; and whatever ends it, our terminal is as it
 * was.
 *
 *     keys -> LeaveKeys (Ctrl-] three times?) -> guest's stdin
 *     guest's stdout -> ScreenWatch (which modes did it switch on?) -> our stdout
 */

import type { GuestProcess } from "../kernel/guest/spec.ts";
import type { Context } from "./context.ts";
import { whenLeavingTerminal } from "./terminal.ts";

/** Ctrl-], as telnet and machinectl have it. */
const LEAVE_KEY = 0x1d;
const LEAVE_TIMES = 3;
const LEAVE_WITHIN_MS = 1000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is matched
const PRIVATE_MODES = /\x1b\[\?([\d;]+)([hl])/g;

/** Counts leave keys that follow each other; all but the last are passed on. */
export class LeaveKeys {
  #pressed: number[] = [];

  /** What of `bytes` goes to the guest, and whether the person leaves. */
  take(bytes: Uint8Array, nowMs: number): { readonly pass: Uint8Array; readonly leave: boolean } {
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] !== LEAVE_KEY) {
        this.#pressed = [];
        continue;
      }
      this.#pressed = [...this.#pressed.filter((at) => nowMs - at < LEAVE_WITHIN_MS), nowMs];
      if (this.#pressed.length === LEAVE_TIMES) return { pass: bytes.subarray(0, i), leave: true };
    }
    return { pass: bytes, leave: false };
  }
}

/**
 * Private modes (xterm's `CSI ? n h`) that a program in the guest may leave on when it is cut off,
 * and that spoil the terminal for whoever comes after: mouse reports, the other screen, a hidden
 * cursor, bracketed paste.
 */
export class ScreenWatch {
  readonly #on = new Set<string>();
  #cursorHidden = false;

  see(bytes: Uint8Array): void {
    if (!bytes.includes(0x1b)) return;
    const text = Buffer.from(bytes).toString("latin1");
    for (const [, modes, set] of text.matchAll(PRIVATE_MODES)) {
      for (const mode of (modes as string).split(";")) {
        if (mode === "25") this.#cursorHidden = set === "l";
        else if (set === "h") this.#on.add(mode);
        else this.#on.delete(mode);
      }
    }
  }

  /** What switches all of it off again; empty where nothing is on. */
  undo(): string {
    const watched = ["1000", "1002", "1003", "1006", "1004", "2004", "1", "47", "1047", "1049"];
    const off = watched.filter((mode) => this.#on.has(mode)).map((mode) => `\x1b[?${mode}l`);
    return (
      off.join("") + (this.#cursorHidden ? "\x1b[?25h" : "") + (off.length > 0 ? "\x1b[0m" : "")
    );
  }
}

export type Ending = { readonly left: false; readonly code: number } | { readonly left: true };

/** 128 + N where a signal ended it, as shells have it. */
export const statusOfExit = (exit: { code: number; signal: number | undefined }): number =>
  exit.signal === undefined ? exit.code : 128 + exit.signal;

/** Streams as they are; the first interruption goes to the command, the second ends it. */
export async function attachPlain(context: Context, guest: GuestProcess): Promise<number> {
  const { stdin, stdout, stderr, signal } = context;
  context.cleansUpWhenInterrupted();
  const interrupt = () => guest.kill(2);
  signal.addEventListener("abort", interrupt, { once: true });
  // A command that doesn't read to the end closes its input: not our failure.
  guest.stdin.on("error", () => {});
  stdin.pipe(guest.stdin);
  guest.stdout.pipe(stdout.stream, { end: false });
  guest.stderr.pipe(stderr.stream, { end: false });
  try {
    const exit = await guest.exit;
    await Promise.all([ended(guest.stdout), ended(guest.stderr)]);
    await Promise.all([stdout.write(""), stderr.write("")]);
    return statusOfExit(exit);
  } finally {
    signal.removeEventListener("abort", interrupt);
    stdin.unpipe(guest.stdin);
    stdin.pause();
  }
}

function ended(stream: NodeJS.ReadableStream & { readableEnded?: boolean; destroyed?: boolean }) {
  if (stream.readableEnded === true || stream.destroyed === true) return Promise.resolve();
  return new Promise<void>((resolve) => {
    stream
      .once("end", resolve)
      .once("close", resolve)
      .once("error", () => resolve());
  });
}

/** Raw mode where our standard input is a terminal. */
export async function attachTerminal(context: Context, guest: GuestProcess): Promise<Ending> {
  const { stdin, stdout } = context;
  const keys = new LeaveKeys();
  const screen = new ScreenWatch();
  const restore = whenLeavingTerminal(() => {
    if (stdin.isTTY) stdin.setRawMode(false);
    const undo = stdout.isTerminal ? screen.undo() : "";
    if (undo !== "") stdout.stream.write(undo);
  });
  const resize = () => guest.resize(stdout.columns(), stdout.rows());
  let leave = () => {};
  const left = new Promise<Ending>((resolve) => {
    leave = () => resolve({ left: true });
  });
  const onKeys = (bytes: Buffer) => {
    const { pass, leave: wantsOut } = keys.take(bytes, context.now());
    if (pass.length > 0 && !guest.stdin.write(pass)) {
      stdin.pause();
      guest.stdin.once("drain", () => stdin.resume());
    }
    if (wantsOut) leave();
  };
  const onEnd = () => guest.stdin.end();
  guest.stdin.on("error", () => {});
  try {
    if (stdin.isTTY) stdin.setRawMode(true);
    stdin.on("data", onKeys).on("end", onEnd);
    stdout.stream.on("resize", resize);
    guest.stdout.on("data", (bytes: Buffer) => screen.see(bytes));
    guest.stdout.pipe(stdout.stream, { end: false });
    const exit = guest.exit.then(async (how): Promise<Ending> => {
      await ended(guest.stdout);
      return { left: false, code: statusOfExit(how) };
    });
    const ending = await Promise.race([exit, left]);
    await stdout.write("");
    return ending;
  } finally {
    stdin.off("data", onKeys).off("end", onEnd);
    stdout.stream.off("resize", resize);
    guest.stdout.unpipe(stdout.stream);
    stdin.pause();
    restore();
  }
}

/** The size and kind of our terminal, for the guest's. */
export const terminalOf = ({ stdout, env }: Context) => ({
  columns: stdout.columns(),
  rows: stdout.rows(),
  term: env.TERM ?? "xterm-256color",
});

/** All of a stream; characters may be cut between its chunks. */
export async function textOf(stream: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
