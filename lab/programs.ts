/**
 * Labs for programs: tests of protocols, exercises, experiments. A thin layer over what the command
 * line calls (`manager.ts`), with names of its own for what is used most.
 *
 *     Lab.up(file) -> lab.guest("h1").exec(…), lab.link("core").down(), lab.verify() -> lab.close()
 */

import type { Readable } from "node:stream";
import { LabError } from "../base/errors.ts";
import { parseBitsPerSecond, parseBytes, parseDurationNs, parseFraction } from "../base/units.ts";
import type { ExecRequest, GuestProcess } from "../kernel/guest/spec.ts";
import type { CaptureCounters, Impairment } from "../net/control/messages.ts";
import type {
  AppliedPlan,
  CaptureRequest,
  LabStatus,
  LabSummary,
  OnLabEvent,
  Report,
  RunningLab,
  StartedCapture,
} from "./api.ts";
import { findLab, listLabs, upLab } from "./manager.ts";

export interface LabOptions {
  /** Ends what goes on; nothing of the lab is left then. */
  readonly signal?: AbortSignal;
  readonly onEvent?: OnLabEvent;
  /** A folder (absolute) where every frame is recorded. */
  readonly record?: string;
  /** It goes on running when this process ends, as after `uml-lab up`. */
  readonly detached?: boolean;
}

const NEVER = new AbortController().signal;
const NOBODY: OnLabEvent = () => {};

export class Lab implements AsyncDisposable {
  readonly name: string;
  /** What was found when it came up; undefined for a lab that was running already. */
  readonly report: Report | undefined;
  readonly #lab: RunningLab;
  readonly #ours: boolean;
  #closing: Promise<void> | undefined;

  private constructor(lab: RunningLab, report: Report | undefined, ours: boolean) {
    this.name = lab.name;
    this.report = report;
    this.#lab = lab;
    this.#ours = ours;
  }

  /**
   * Boots the lab of a topology file and judges it; `report.verdict` says whether all that the file
   * expects holds. It ends with `close()`, or with this process.
   *
   * @throws LabErrors with every error of the file, LabError with a `code` for all else.
   */
  static async up(file: string, options: LabOptions = {}): Promise<Lab> {
    const detached = options.detached ?? false;
    const { lab, report } = await upLab({
      file,
      signal: options.signal ?? NEVER,
      onEvent: options.onEvent ?? NOBODY,
      startedAt: Date.now(),
      tied: !detached,
      ...(options.record === undefined ? {} : { record: options.record }),
    });
    return new Lab(lab, report, !detached);
  }

  /** A lab that runs, by its name or its topology file; without one, the only one. */
  static async find(nameOrFile?: string): Promise<Lab> {
    return new Lab(await findLab(nameOrFile), undefined, false);
  }

  static list(): Promise<readonly LabSummary[]> {
    return listLabs();
  }

  guest(name: string): Guest {
    return new Guest(this.#lab, name);
  }

  link(name: string): Link {
    return new Link(this.#lab, name);
  }

  /** Measures and judges again. */
  verify(options: Pick<LabOptions, "signal" | "onEvent"> = {}): Promise<Report> {
    const { signal = NEVER, onEvent = NOBODY } = options;
    return this.#lab.verify({ signal, onEvent });
  }

  /**
   * Brings it to what a topology file of its name says now, changing only what differs, and measures
   * and judges. `dryRun`: only what differs is answered.
   *
   * @throws LabErrors of the file, with nothing touched; else LabError, and the lab runs on.
   */
  async apply(
    file: string,
    options: Pick<LabOptions, "signal" | "onEvent"> & { readonly dryRun?: boolean } = {},
  ): Promise<AppliedPlan> {
    const { signal = NEVER, onEvent = NOBODY, dryRun = false } = options;
    const { applyFile, refuseOther } = await import("./apply-file.ts");
    return applyFile({ file, dryRun, signal, onEvent, startedAt: Date.now() }, async (plan) => {
      refuseOther(this.name, plan);
      return findLab(this.name);
    });
  }

  status(): Promise<LabStatus> {
    return this.#lab.status();
  }

  startCapture(request: CaptureRequest): Promise<StartedCapture> {
    return this.#lab.startCapture(request);
  }

  stopCapture(capture: string): Promise<CaptureCounters | null> {
    return this.#lab.stopCapture(capture);
  }

  /** Ends the lab; nothing of it is left. */
  async down(): Promise<void> {
    this.#closing ??= this.#lab.down(NOBODY);
    await this.#closing;
  }

  /** Ends the lab if it is ours (made by `up`, and not detached); else only lets go of it. */
  async close(): Promise<void> {
    this.#closing ??= this.#ours
      ? this.#lab.down(NOBODY)
      : Promise.resolve(this.#lab[Symbol.asyncDispose]());
    await this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export interface CommandOptions {
  /** Its standard input; without it there is none. */
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Ended (SIGKILL) after so long. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface CommandResult {
  /** 128 + N where signal N ended it. */
  readonly code: number;
  readonly signal: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const SIGKILL = 9;

export class Guest {
  readonly name: string;
  readonly #lab: RunningLab;

  constructor(lab: RunningLab, name: string) {
    this.#lab = lab;
    this.name = name;
  }

  /**
   * Runs a command to its end: an array is the program and its arguments, a text is a shell's. A
   * status other than 0 is no error.
   *
   * @throws LabError NO_SUCH_GUEST, GUEST_FAILED, TIMEOUT, or the signal's reason.
   */
  async exec(
    command: string | readonly string[],
    options: CommandOptions = {},
  ): Promise<CommandResult> {
    const process = this.spawn(command, options);
    const output = Promise.all([textOf(process.stdout), textOf(process.stderr)]);
    process.stdin.on("error", () => {}); // it may end without reading
    process.stdin.end(options.input ?? "");
    let cause: unknown;
    const end = (reason: unknown) => {
      cause ??= reason;
      process.kill(SIGKILL);
    };
    const { timeoutMs, signal } = options;
    const late = new LabError("TIMEOUT", `${this.name}: \`${shown(command)}\` took too long`);
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => end(late), timeoutMs);
    const abort = () => end(signal?.reason);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    try {
      const { code, signal: by } = await process.exit;
      const [stdout, stderr] = await output;
      if (cause !== undefined) throw cause;
      return { code, signal: by, stdout, stderr };
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Starts a command and answers its streams, which obey backpressure. */
  spawn(
    command: string | readonly string[],
    options: Pick<ExecRequest, "env" | "cwd" | "terminal" | "socket"> = {},
  ): GuestProcess {
    const { env, cwd, terminal, socket } = options;
    return this.#lab.exec(this.name, {
      command: typeof command === "string" ? ["sh", "-c", command] : command,
      ...(env === undefined ? {} : { env }),
      ...(cwd === undefined ? {} : { cwd }),
      ...(terminal === undefined ? {} : { terminal }),
      ...(socket === undefined ? {} : { socket }),
    });
  }

  async readFile(path: string): Promise<Buffer> {
    const process = this.spawn(["cat", "--", path]);
    process.stdin.end();
    const [content, complaint] = await Promise.all([
      bytesOf(process.stdout),
      textOf(process.stderr),
    ]);
    if ((await process.exit).code !== 0) throw this.#failed(complaint);
    return content;
  }

  /** @param mode permission bits. Folders on the way are made. */
  async writeFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
    const script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"';
    const command = ["sh", "-c", script, "sh", path, mode.toString(8)];
    const { code, stderr } = await this.exec(command, { input: content });
    if (code !== 0) throw this.#failed(stderr);
  }

  start(): Promise<void> {
    return this.#lab.start([this.name], NOBODY);
  }

  stop(): Promise<void> {
    return this.#lab.stop([this.name], NOBODY);
  }

  restart(): Promise<void> {
    return this.#lab.restart([this.name], NOBODY);
  }

  pause(): Promise<void> {
    return this.#lab.pause([this.name]);
  }

  resume(): Promise<void> {
    return this.#lab.resume([this.name]);
  }

  #failed(complaint: string): LabError {
    return new LabError("GUEST_FAILED", `${this.name}: ${complaint.trim()}`);
  }
}

/** Impairments as the topology language writes them. */
export interface LinkChange {
  readonly delay?: string;
  readonly jitter?: string;
  readonly loss?: string;
  readonly duplicate?: string;
  readonly corrupt?: string;
  readonly reorder?: string;
  readonly rate?: string;
  /** Frames, or bytes as `64K`. */
  readonly queue?: number | string;
}

export class Link {
  readonly name: string;
  readonly #lab: RunningLab;

  constructor(lab: RunningLab, name: string) {
    this.#lab = lab;
    this.name = name;
  }

  up(): Promise<void> {
    return this.#lab.setLink(this.name, { up: true });
  }

  down(): Promise<void> {
    return this.#lab.setLink(this.name, { up: false });
  }

  /**
   * Impairs it from now on, in place of all that impaired it: `set({})` mends it. With two values, for
   * frames that leave its first end, and its second.
   */
  async set(change: LinkChange, back: LinkChange = change): Promise<void> {
    await this.#lab.setLink(this.name, {
      impairments: [impairmentOf(change), impairmentOf(back)],
    });
  }
}

const UNITS = {
  delay: ["delayNs", parseDurationNs],
  jitter: ["jitterNs", parseDurationNs],
  loss: ["loss", parseFraction],
  duplicate: ["duplicate", parseFraction],
  corrupt: ["corrupt", parseFraction],
  reorder: ["reorder", parseFraction],
  rate: ["rateBitsPerSec", parseBitsPerSecond],
} as const;

/** @throws LabError BAD_VALUE. */
function impairmentOf({ queue, ...change }: LinkChange): Impairment {
  const entries = Object.entries(change).map(([key, text]) => {
    const unit = UNITS[key as keyof typeof UNITS];
    const value = unit?.[1](String(text));
    if (value === undefined) throw wrong(key, String(text));
    return [unit[0], value] as const;
  });
  if (queue === undefined) return Object.fromEntries(entries);
  const bytes = typeof queue === "string" ? parseBytes(queue) : undefined;
  if (typeof queue === "string" && bytes === undefined) throw wrong("queue", queue);
  return {
    ...Object.fromEntries(entries),
    queue: bytes === undefined ? { frames: queue as number } : { bytes },
  };
}

const wrong = (key: string, text: string): LabError =>
  new LabError("BAD_VALUE", `\`${key}\` cannot be \`${text}\``, {
    hint: "as in a topology: delay 10ms, loss 1%, rate 10Mbit, queue 100 or 64K",
  });

async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const textOf = async (stream: Readable): Promise<string> =>
  (await bytesOf(stream)).toString("utf8");

const shown = (command: string | readonly string[]): string =>
  typeof command === "string" ? command : command.join(" ");
