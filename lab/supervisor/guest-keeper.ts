/**
 * One guest over the life of its lab: booted, stopped, paused, restarted, found dead.
 *
 *     stopped -> starting -> agent -> setup -> ready <-> paused
 *        ^          |          |        |        |         |
 *        +----------+--- failed (its kernel ended, or its boot went wrong)
 *
 * Operations on a guest run one after another. Its NICs stay in the fabric whatever becomes of it,
 * so a new kernel connects to the same cables.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";
import type { ProcessRecord } from "../../base/processes.ts";
import type { BootOptions, GuestSetup, GuestSpec, RunningGuest } from "../../kernel/guest/spec.ts";
import type { GuestState } from "../api.ts";
import type { Limiter } from "../limiter.ts";
import { Debugging } from "./debugging.ts";

export interface GuestKeeperOptions {
  readonly spec: GuestSpec;
  readonly boot: (spec: GuestSpec, options: BootOptions) => Promise<RunningGuest>;
  readonly boots: Limiter;
  /** Writes the process down; called before the guest can do anything. */
  readonly onProcess: (record: ProcessRecord) => void;
  readonly onState: (guest: string, state: GuestState, ms: number | undefined) => void;
  /** At its first boot its kernel waits for a debugger; called when it does. */
  readonly onHeld?: (() => void) | undefined;
}

export class GuestKeeper {
  readonly #options: GuestKeeperOptions;
  #spec: GuestSpec;
  #state: GuestState = "stopped";
  #guest: RunningGuest | undefined;
  #bootMs: number | null = null;
  #failure: string | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  readonly #closing = new AbortController();
  #disposing: Promise<void> | undefined;
  readonly #watchers = new Set<() => void>();
  /** A kernel that waits for a debugger, and what lets it boot as others do. */
  #held: { readonly kernel: ProcessRecord; readonly release: () => void } | undefined;
  #debugging: { readonly session: Debugging; readonly over: AbortController } | undefined;
  #frozen = false;
  #wasHeld = false;

  constructor(options: GuestKeeperOptions) {
    this.#options = options;
    this.#spec = options.spec;
  }

  /** What it is, or will be at its next boot. */
  get spec(): GuestSpec {
    return this.#spec;
  }

  get name(): string {
    return this.spec.name;
  }

  get state(): GuestState {
    if (this.#state !== "ready") return this.#state;
    if (this.#debugging !== undefined) return "debugged";
    return this.#frozen ? "paused" : "ready";
  }

  /** From exec of its kernel to ready; null until it was. */
  get bootMs(): number | null {
    return this.#bootMs;
  }

  /** The process that leads its others; null when none runs. */
  get process(): ProcessRecord | null {
    return this.#guest?.process ?? null;
  }

  get consolePath(): string {
    return join(this.spec.folder, "console.log");
  }

  /** Why it can't do anything now; undefined when it is ready. */
  get obstacle(): string | undefined {
    switch (this.#state) {
      case "ready":
        if (this.#debugging?.session.stands) return `${this.name} is stopped in a debugger`;
        return this.#frozen ? `${this.name} waits for a debugger` : undefined;
      case "failed":
        return `${this.name} failed: ${this.#failure?.split("\n")[0] ?? "its kernel ended"}`;
      case "paused":
        return `${this.name} is paused`;
      case "stopped":
        return `${this.name} is stopped`;
      default:
        return `${this.name} is still booting`;
    }
  }

  /** The running guest, or GUEST_FAILED with what to do. */
  get guest(): RunningGuest {
    const { obstacle } = this;
    if (this.#guest !== undefined && obstacle === undefined) return this.#guest;
    const failed = this.#state === "failed" && this.#failure !== undefined;
    throw new LabError("GUEST_FAILED", failed ? this.#failure! : (obstacle as string), {
      hint: this.#advice,
    });
  }

  get #advice(): string {
    switch (this.#state) {
      case "ready":
        return "let the kernel go on in the debugger: continue, or detach";
      case "paused":
        return `uml-lab resume ${this.name}`;
      case "stopped":
        return `uml-lab start ${this.name}`;
      default:
        return `uml-lab logs ${this.name}; uml-lab restart ${this.name}`;
    }
  }

  /** Its console's input, whatever it does; undefined when no kernel runs. */
  get consoleInput(): RunningGuest["console"]["input"] | undefined {
    return this.#guest?.console.input;
  }

  /** Calls back when the guest's state changes; answers how to stop that. */
  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => this.#watchers.delete(onChange);
  }

  /** Boots it unless it runs. Throws GUEST_BOOT, GUEST_SETUP. */
  start(signal: AbortSignal): Promise<void> {
    return this.#next(async () => {
      if (this.#guest === undefined) await this.#boot(signal);
    });
  }

  stop(): Promise<void> {
    return this.#next(async () => {
      await this.#end();
      this.#failure = undefined;
      this.#enter("stopped");
    });
  }

  restart(signal: AbortSignal): Promise<void> {
    return this.#next(async () => {
      await this.#end();
      await this.#boot(signal);
    });
  }

  /** Its next kernel is made of this. */
  replan(spec: GuestSpec): Promise<void> {
    return this.#next(async () => {
      this.#spec = spec;
    });
  }

  /** Changes it in place where it runs, and for its next boot. Throws GUEST_SETUP, GUEST_FAILED. */
  change(setup: GuestSetup): Promise<void> {
    return this.#next(async () => {
      if (this.#guest !== undefined) await this.guest.change(setup);
      this.#spec = { ...this.#spec, setup };
    });
  }

  pause(): Promise<void> {
    return this.#next(async () => {
      if (this.#state === "paused") return;
      if (this.#debugging !== undefined) {
        throw new LabError("GUEST_FAILED", `${this.name} is being debugged`, {
          hint: "stop it in the debugger, or detach first",
        });
      }
      this.guest.pause();
      this.#enter("paused");
    });
  }

  resume(): Promise<void> {
    return this.#next(async () => {
      if (this.#state !== "paused") {
        void this.guest;
        return;
      }
      this.#guest?.resume();
      this.#enter("ready");
    });
  }

  /** Pauses it while another stands in a debugger, without its state changing; other states are left alone. */
  freeze(): void {
    if (this.#state !== "ready" || this.#debugging !== undefined) return;
    this.#frozen = true;
    this.#guest?.pause();
  }

  thaw(): void {
    if (!this.#frozen) return;
    this.#frozen = false;
    if (this.#state === "ready") this.#guest?.resume();
  }

  /**
   * A debugger at its kernel, until `signal` aborts or the guest is to be stopped. Resolves when the
   * kernel goes on without it: with null, or with why nobody waited for `signal`. Throws GUEST_FAILED
   * where no kernel runs, or it is being debugged already.
   */
  async debug(
    signal: AbortSignal,
    onTarget: (kernel: ProcessRecord, held: boolean) => void,
    onStanding: (stands: boolean) => void,
  ): Promise<string | null> {
    if (this.#debugging !== undefined) {
      throw new LabError("GUEST_FAILED", `${this.name} is being debugged already`, {
        hint: "end that debugger first; one kernel has one at a time",
      });
    }
    const held = this.#held;
    const kernel = held?.kernel ?? this.#guest?.kernelProcess;
    if (kernel === undefined)
      throw new LabError("GUEST_FAILED", this.obstacle ?? `${this.name} is gone`);
    if (held === undefined) void this.guest; // a paused one can't be stopped by a debugger
    signal.throwIfAborted();
    const { executable } = this.spec.kernel;
    const session = new Debugging({ kernel, executable, onStanding });
    const over = new AbortController();
    this.#debugging = { session, over };
    const asked = () => over.abort(null);
    signal.addEventListener("abort", asked);
    try {
      onTarget(kernel, held !== undefined);
      await new Promise<void>((resolve) => {
        over.signal.addEventListener("abort", () => resolve());
        if (over.signal.aborted) resolve();
      });
      return over.signal.reason as string | null;
    } finally {
      signal.removeEventListener("abort", asked);
      await session.end();
      this.#debugging = undefined;
      this.#held = undefined;
      held?.release();
    }
  }

  /** Ends it for good, in the middle of a boot as well. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposing ??= (async () => {
      await this.#endDebugging("the lab ends");
      this.#closing.abort(new LabError("INTERRUPTED", "the lab is ending"));
      await this.#tail.catch(() => {});
      await this.#end();
      if (this.#state !== "failed") this.#enter("stopped");
    })();
    return this.#disposing;
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(() => {
      this.#closing.signal.throwIfAborted();
      return work();
    });
    this.#tail = result.catch(() => {});
    return result;
  }

  async #boot(signal: AbortSignal): Promise<void> {
    const over = AbortSignal.any([signal, this.#closing.signal]);
    this.#failure = undefined;
    try {
      await this.#options.boots.run(async () => {
        over.throwIfAborted();
        mkdirSync(this.spec.folder, { recursive: true, mode: 0o700 });
        const guest = await this.#options.boot(this.spec, {
          signal: over,
          onProcess: this.#options.onProcess,
          onPhase: (phase) => {
            if (phase !== "ready") this.#enter(phase);
          },
          ...this.#holding(),
        });
        this.#guest = guest;
        this.#bootMs = guest.bootMs;
      });
    } catch (error) {
      this.#failure = messageOf(error);
      this.#enter(over.aborted ? "stopped" : "failed");
      throw over.aborted ? over.reason : error;
    }
    const guest = this.#guest as RunningGuest;
    guest.console.output.resume(); // its record is the file
    void guest.exited.then(({ code, signal: by, consoleTail }) => {
      if (this.#guest !== guest) return; // we ended it
      this.#guest = undefined;
      this.#failure =
        `guest ${this.name} failed: its kernel ended (${by ?? `status ${code}`})` +
        (consoleTail && `\nthe end of its console:\n${consoleTail}`);
      this.#enter("failed");
      Promise.resolve(guest[Symbol.asyncDispose]()).catch(() => {});
    });
    this.#enter("ready", guest.bootMs);
  }

  /** Only the first time. */
  #holding(): Pick<BootOptions, "onHeld"> {
    const { onHeld } = this.#options;
    if (onHeld === undefined || this.#wasHeld) return {};
    this.#wasHeld = true;
    return {
      onHeld: (kernel) =>
        new Promise<void>((release) => {
          this.#held = { kernel, release };
          onHeld();
        }),
    };
  }

  async #endDebugging(why: string): Promise<void> {
    this.#debugging?.over.abort(why);
    await this.#debugging?.session.end();
  }

  async #end(): Promise<void> {
    await this.#endDebugging(`${this.name} was stopped`);
    this.#frozen = false;
    const guest = this.#guest;
    this.#guest = undefined;
    await guest?.[Symbol.asyncDispose]();
  }

  #enter(state: GuestState, ms?: number): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onState(this.name, state, ms);
    for (const watcher of [...this.#watchers]) watcher();
  }
}
