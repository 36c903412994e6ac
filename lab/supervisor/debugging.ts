/**
 * A debugger at a guest's kernel, from its announcement to when the kernel runs on without it.
 *
 *     announced -> attached, detached, … -> over -> breakpoints removed, kernel running
 *
 * Who debugs may be killed at any time: what is here ends with its connection. Whether the kernel
 * stands still is read from /proc, so that nothing has to be told.
 */

import { readFileSync } from "node:fs";
import type { ProcessRecord } from "../../base/processes.ts";
import { afterDebugger } from "../../kernel/debug/debugger-left.ts";
import { stateOf } from "../../kernel/guest/host-processes.ts";
import type { DebugTarget } from "../api.ts";
import type { Guests } from "./guests.ts";

const LOOK_MS = 25;
/** One that stands still for less is on its way: breakpoints whose commands end in `continue`. */
const STANDS_AFTER_MS = 100;

export interface DebuggingOptions {
  readonly kernel: ProcessRecord;
  readonly executable: string;
  /** The kernel has begun to stand still, or goes on. */
  readonly onStanding?: (stands: boolean) => void;
}

export class Debugging implements AsyncDisposable {
  readonly #options: DebuggingOptions;
  readonly #timer: NodeJS.Timeout;
  #standsSinceMs: number | undefined;
  #switches = "";
  #stands = false;
  #disposing: Promise<number> | undefined;

  constructor(options: DebuggingOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(performance.now()), LOOK_MS);
  }

  /** The debugger has stopped it. */
  get stands(): boolean {
    return this.#stands;
  }

  #look(nowMs: number): void {
    const { pid } = this.#options.kernel;
    const switches = stateOf(pid) === "t" ? switchesOf(pid) : "";
    if (switches === "" || switches !== this.#switches) this.#standsSinceMs = undefined;
    this.#switches = switches;
    if (switches !== "") this.#standsSinceMs ??= nowMs;
    const since = this.#standsSinceMs;
    this.#enter(since !== undefined && nowMs - since >= STANDS_AFTER_MS);
  }

  #enter(stands: boolean): void {
    if (this.#stands === stands) return;
    this.#stands = stands;
    this.#options.onStanding?.(stands);
  }

  /** Ends the debugger if it is still there. Answers how many breakpoints it had left in the code. */
  end(): Promise<number> {
    this.#disposing ??= (async () => {
      clearInterval(this.#timer);
      const { kernel, executable } = this.#options;
      try {
        return await afterDebugger(kernel, executable);
      } finally {
        this.#enter(false);
      }
    })();
    return this.#disposing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

export interface DebugRequest {
  readonly guest: string;
  /** The other guests stand still whenever this one does. */
  readonly freeze: boolean;
}

/** Lasts as long as `signal` lets it. Answers why it is over, null where the signal said so. */
export async function debugGuest(
  guests: Guests,
  { guest, freeze }: DebugRequest,
  signal: AbortSignal,
  onTarget: (target: DebugTarget) => void,
): Promise<string | null> {
  const keeper = guests.keeper(guest);
  const { kernel, folder } = keeper.spec;
  const others = freeze ? guests.keepers.filter((other) => other !== keeper) : [];
  try {
    return await keeper.debug(
      signal,
      (process, held) => onTarget({ guest, kernel, process, held, folder }),
      (stands) => {
        for (const other of others) stands ? other.freeze() : other.thaw();
      },
    );
  } finally {
    for (const other of others) other.thaw();
  }
}

/** proc(5): how often it ran; the same at two looks, it did not run between them. */
function switchesOf(pid: number): string {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return (status.match(/^(?:non)?voluntary_ctxt_switches:\s*\d+$/gm) ?? []).join();
  } catch {
    return "";
  }
}
