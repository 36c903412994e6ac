/**
 * Boots one guest: its kernel in a sandbox, our agent in the kernel, and what the topology says of
 * it. Ready is when the agent has said so, after the last `run` command.
 *
 *     spawn launcher -> kernel -> agent says HELLO -> setup -> RunningGuest
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { Cleanups } from "../../base/cleanups.ts";
import { LabError, messageOf } from "../../base/errors.ts";
import { type ProcessRecord, recordProcess, signalProcess } from "../../base/processes.ts";
import { ensureProgram } from "../agent/build.ts";
import { INBOX_BYTES } from "../agent/protocol.ts";
import { endTracer } from "../debug/debugger-left.ts";
import { ensureInitramfs } from "../initramfs/initramfs.ts";
import { AgentConnection } from "./agent-connection.ts";
import { changeSetup } from "./change-setup.ts";
import { kernelCommandLine } from "./command-line.ts";
import { Console } from "./console.ts";
import { hostProcessesOf, isTraced, kernelProcessOf, stateOf } from "./host-processes.ts";
import { type ImageUser, resolveUser } from "./image-user.ts";
import { withMemoryHint } from "./memory-hint.ts";
import { chooseSandbox, planSandbox } from "./sandbox.ts";
import { applySetup, type SetupAgent, sysctlPath } from "./setup.ts";
import type {
  BootOptions,
  ExecRequest,
  ExecResult,
  GuestExit,
  GuestProcess,
  GuestSetup,
  GuestSpec,
  RunningGuest,
} from "./spec.ts";

/** How long a shell on the console may take to say its first word. */
const LONGEST_PROMPT_MS = 2000;
const DEFAULT_TIMEOUT_MS = 60_000;
const POWER_OFF_MS = 2_000;
const TERMINATE_MS = 1_000;
/** Between the end of a kernel's line and its own. */
const LONGEST_END_MS = 5_000;
/** Between looks at a kernel that is to stand still before it begins. */
const LOOK_MS = 5;

/** The kernel's descriptors, as spawn's stdio numbers them. */
const LINE_FD = 3;
const CONSOLE_FD = 4;

const BASE_ENV: Readonly<Record<string, string>> = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  HOME: "/root",
  USER: "root",
  LOGNAME: "root",
  SHELL: "/bin/sh",
  LANG: "C.UTF-8",
};

/**
 * As in a container: a user listens on every port, and pings without rights.
 * moby: daemon/oci_linux.go
 */
const FOR_USERS: Readonly<Record<string, string>> = {
  "/proc/sys/net/ipv4/ip_unprivileged_port_start": "0\n",
  "/proc/sys/net/ipv4/ping_group_range": "0 2147483647\n",
};

/**
 * Boots a guest and applies its setup. Throws GUEST_BOOT (with the end of its console), GUEST_SETUP,
 * NO_RIGHT, NO_TOOL; the signal's reason when it aborts. Nothing is left of a guest that failed.
 */
export async function bootGuest(spec: GuestSpec, options: BootOptions): Promise<RunningGuest> {
  const { signal } = options;
  signal.throwIfAborted();
  await using cleanups = new Cleanups();
  const { agent, launcher } = options.programs ?? (await ensurePrograms(signal));
  const level = options.sandbox ?? (await chooseSandbox(launcher));
  let ramFolder = spec.folder;
  if (level !== "namespaces") {
    mkdirSync(join(spec.folder, "uml"), { recursive: true, mode: 0o700 });
    cleanups.defer("remove the kernel's folder", () =>
      rmSync(join(spec.folder, "uml"), { recursive: true, force: true }),
    );
    ramFolder = makeRamFolder();
    cleanups.defer("remove the place of its RAM", () =>
      rmSync(ramFolder, { recursive: true, force: true }),
    );
  }
  const inboxPath = join(spec.folder, "inbox");
  const inbox = openSync(inboxPath, "w", 0o600);
  cleanups.defer("remove the inbox", () => {
    closeSync(inbox);
    rmSync(inboxPath, { force: true });
  });
  ftruncateSync(inbox, INBOX_BYTES);
  const sandbox = await planSandbox({
    level,
    launcher,
    executable: spec.kernel.executable,
    initramfs: ensureInitramfs(spec.kernel, spec.image.fileSystem, agent),
    image: spec.image.file,
    inbox: inboxPath,
    modulesImage: spec.kernel.modulesImage,
    disk: spec.disk,
    nicSockets: spec.nicSockets,
    memoryBytes: spec.memoryBytes,
    cpu: spec.cpu,
    folder: spec.folder,
    held: options.onHeld !== undefined,
    ramFolder,
  });
  const commandLine = kernelCommandLine({
    memoryBytes: spec.memoryBytes,
    initramfs: sandbox.initramfs,
    image: sandbox.image,
    inbox: sandbox.inbox,
    modulesImage: sandbox.modulesImage,
    disk: sandbox.disk,
    fileSystem: spec.image.fileSystem,
    nicSockets: sandbox.nicSockets,
    lineFd: LINE_FD,
    consoleFd: CONSOLE_FD,
    umlFolder: sandbox.umlFolder,
    seccomp: spec.isolation === "fast" && spec.kernel.features.seccomp,
    tickless: spec.kernel.features.tickless ?? false,
    bootArguments: spec.kernel.bootArguments,
  });

  signal.throwIfAborted();
  const startedAt = performance.now();
  const child = spawn(launcher, [...sandbox.launch, ...commandLine], {
    stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
    env: { ...sandbox.env },
    cwd: "/",
    detached: true, // leads a process group of its own
  });
  const guest = new Guest(spec, child, startedAt, inbox, cleanups.move());
  cleanups.defer(`end guest ${spec.name}`, () => guest[Symbol.asyncDispose]());
  try {
    await guest.boot(options);
  } catch (error) {
    throw withMemoryHint(error, spec);
  }
  cleanups.move();
  return guest;
}

async function ensurePrograms(signal: AbortSignal) {
  const [agent, launcher] = await Promise.all([
    ensureProgram("agent", { signal }),
    ensureProgram("launcher", { signal }),
  ]);
  return { agent, launcher };
}

/** On a tmpfs, so that RAM never becomes disk traffic. */
function makeRamFolder(): string {
  for (const parent of ["/dev/shm", tmpdir()]) {
    try {
      return mkdtempSync(join(parent, "uml-lab-"));
    } catch {
      // the next one
    }
  }
  throw new LabError("NO_RIGHT", "neither /dev/shm nor the temporary folder can be written");
}

class Guest implements RunningGuest {
  readonly name: string;
  readonly exited: Promise<GuestExit>;
  readonly #spec: GuestSpec;
  readonly #startedAt: number;
  readonly #cleanups: Cleanups;
  readonly #console: Console;
  readonly #agent: AgentConnection;
  /** What it is, and is made again when it reboots itself. */
  #setup: GuestSetup;
  #record: ProcessRecord | undefined;
  #bootMs = 0;
  /** Its agent said its first word: it can be asked to power off. */
  #answered = false;
  #hello: () => void = () => {};
  #consoleShell = false;
  #disposing: Promise<void> | undefined;

  constructor(
    spec: GuestSpec,
    child: ChildProcess,
    startedAt: number,
    inbox: number,
    cleanups: Cleanups,
  ) {
    this.name = spec.name;
    this.#spec = spec;
    this.#setup = spec.setup;
    this.#startedAt = startedAt;
    this.#cleanups = cleanups;
    this.#record = child.pid === undefined ? undefined : recordProcess(child.pid);
    this.#console = new Console(
      join(spec.folder, "console.log"),
      child.stdio[CONSOLE_FD] as unknown as Duplex,
      () => this.#startConsoleShell(),
    );
    // What comes before the console is up, and what the launcher has to say.
    child.stdout?.on("data", (chunk: Buffer) => this.#console.record(chunk));
    child.stderr?.on("data", (chunk: Buffer) => this.#console.record(chunk));
    this.#agent = new AgentConnection(child.stdio[LINE_FD] as unknown as Duplex, inbox, {
      onHello: () => this.#hello(),
    });
    this.exited = new Promise((resolve) => {
      const end = async (code: number | null, signal: NodeJS.Signals | null) => {
        await this.#console.end();
        resolve({ code, signal, consoleTail: this.#console.tail });
      };
      child.once("close", end);
      child.once("error", (error) => {
        this.#console.record(Buffer.from(`${messageOf(error)}\n`));
        if (child.pid === undefined) void end(null, null);
      });
    });
  }

  get process(): ProcessRecord {
    // A guest that is handed out was recorded.
    return this.#record as ProcessRecord;
  }

  get kernelProcess(): ProcessRecord | undefined {
    return this.#record && kernelProcessOf(this.#record);
  }

  get bootMs(): number {
    return this.#bootMs;
  }

  get consolePath(): string {
    return this.#console.path;
  }

  get console() {
    return { input: this.#console.input, output: this.#console.output };
  }

  /**
   * Nothing runs on the console until somebody types there. A console that nobody has open keeps what
   * is typed to itself, until more is typed: the shell's prompt is waited for.
   */
  async #startConsoleShell(): Promise<void> {
    if (this.#consoleShell || this.#bootMs === 0) return;
    this.#consoleShell = true;
    const over = () => {
      this.#consoleShell = false;
    };
    const prompt = this.#console.nextWord(LONGEST_PROMPT_MS);
    const request = { command: ["sh", "-c", "exec $SHELL -l"], env: { TERM: "linux" } };
    this.#agent.exec(request, this.#env, { console: true }).exit.then(over, over);
    await prompt;
  }

  get #env(): Readonly<Record<string, string>> {
    return { ...BASE_ENV, ...this.#spec.image.process?.env, ...this.#setup.env };
  }

  async boot(options: BootOptions): Promise<void> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    if (this.#record !== undefined) options.onProcess(this.#record);
    options.onPhase?.("starting");
    const timeout = new AbortController();
    const over = AbortSignal.any([options.signal, timeout.signal]);
    let phase = "the agent's first word";
    const failure = new Promise<never>((_, reject) => {
      void this.exited.then(({ code, signal, consoleTail }) =>
        reject(this.#bootError(`its kernel ended (${signal ?? `status ${code}`})`, consoleTail)),
      );
      over.addEventListener("abort", () => {
        reject(
          options.signal.aborted
            ? options.signal.reason
            : this.#bootError(`no ${phase} within ${timeoutMs} ms`, this.#console.tail),
        );
      });
    });
    failure.catch(() => {}); // raced below
    // Of a kernel that ends, its line is gone first, and can't tell why.
    const whyItEnded = async (error: unknown): Promise<never> => {
      if (error instanceof LabError && error.code === "GUEST_FAILED") {
        await Promise.race([failure, sleep(LONGEST_END_MS, undefined, { ref: false })]);
      }
      throw error;
    };
    let timer: NodeJS.Timeout | undefined;
    let booted = false;
    const startTimer = () => {
      if (!booted) timer = setTimeout(() => timeout.abort(), timeoutMs);
    };
    if (options.onHeld === undefined) startTimer();
    else void this.#hold(options.onHeld, over).then(startTimer);
    const hello = new Promise<void>((resolve) => {
      this.#hello = resolve;
    });
    try {
      await Promise.race([hello, failure]);
      this.#answered = true;
      options.onPhase?.("agent");
      phase = "end of its setup";
      options.onPhase?.("setup");
      await Promise.race([this.#setUp(over).catch(whyItEnded), failure]);
    } finally {
      booted = true;
      clearTimeout(timer);
    }
    this.#hello = () => void this.#setUpAgain();
    this.#bootMs = performance.now() - this.#startedAt;
    options.onPhase?.("ready");
  }

  /** The kernel is stopped already, or will be in a moment. */
  async #hold(onHeld: (kernel: ProcessRecord) => Promise<void>, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      const kernel = this.kernelProcess;
      if (kernel !== undefined && stateOf(kernel.pid) === "T") return onHeld(kernel);
      await sleep(LOOK_MS);
    }
  }

  #setUp(signal: AbortSignal): Promise<void> {
    return applySetup(this.name, this.#setup, this.#setupAgent, signal);
  }

  async change(setup: GuestSetup): Promise<void> {
    try {
      await changeSetup(this.name, this.#setup, setup, this.#setupAgent);
    } catch (error) {
      throw withMemoryHint(error, this.#spec);
    }
    this.#setup = setup;
  }

  get #setupAgent(): SetupAgent {
    return {
      writeFile: (path, content, mode) => this.#agent.writeFile(path, content, mode),
      netlink: (messages) => this.#agent.netlink(messages),
      run: (command) => this.run({ command: ["sh", "-c", command] }),
      startImage: () => this.#startImage(),
    };
  }

  async #startImage(): Promise<void> {
    const { reference, process } = this.#spec.image;
    if (process === undefined || process.command.length === 0) {
      throw new LabError(
        "GUEST_SETUP",
        `guest ${this.name}: the image ${reference} has no command`,
        {
          hint: "remove `service`, or start something with `run`",
        },
      );
    }
    const user = process.user === "" ? undefined : await this.#imageUser(process.user);
    if (user !== undefined && user.uid !== 0) await this.#letUsersServe();
    const [program] = process.command;
    const say = (how: string) => this.#console.record(Buffer.from(`uml-lab: ${program} ${how}\n`));
    const request = { command: process.command, cwd: process.cwd };
    const env = {
      ...BASE_ENV,
      ...(user === undefined ? {} : { HOME: user.home, USER: user.name, LOGNAME: user.name }),
      ...process.env,
      ...this.#setup.env,
    };
    const started = this.#agent.exec(request, env, { console: true, user });
    // only why it could not be run comes here
    started.stderr.on("data", (chunk: Buffer) => this.#console.record(chunk));
    started.exit.then(
      ({ code, signal }) =>
        say(`ended (${signal === undefined ? `status ${code}` : `signal ${signal}`})`),
      (error: unknown) => say(`did not run: ${messageOf(error)}`),
    );
  }

  async #imageUser(user: string): Promise<ImageUser> {
    const textOf = async (path: string) =>
      Buffer.from(await this.#agent.readFile(path).catch(() => "")).toString("utf8");
    const [passwd, group] = await Promise.all([textOf("/etc/passwd"), textOf("/etc/group")]);
    try {
      return resolveUser(user, passwd, group);
    } catch (cause) {
      throw new LabError(
        "GUEST_SETUP",
        `guest ${this.name}: the command of ${this.#spec.image.reference} is to run as USER ` +
          `\`${user}\`: ${messageOf(cause)}`,
        { cause, hint: "mend the image, or remove `service` and start the command with `run`" },
      );
    }
  }

  /** What the topology says of these settings was written before, and stays. */
  async #letUsersServe(): Promise<void> {
    const given = Object.keys(this.#setup.sysctl).map(sysctlPath);
    await Promise.all(
      Object.entries(FOR_USERS)
        .filter(([path]) => !given.includes(path))
        .map(([path, value]) => this.#agent.writeFile(path, Buffer.from(value), undefined)),
    );
  }

  /** The guest rebooted itself: it is made what it was. What fails is told on its console. */
  async #setUpAgain(): Promise<void> {
    try {
      await this.#setUp(new AbortController().signal);
    } catch (error) {
      this.#console.record(Buffer.from(`uml-lab: setup after the reboot: ${messageOf(error)}\n`));
    }
  }

  #bootError(what: string, tail: string): LabError {
    const message = `guest ${this.name} did not boot: ${what}`;
    return tail === ""
      ? new LabError("GUEST_BOOT", `${message}, and nothing on its console`, {
          hint: `see that ${this.#spec.kernel.executable} is a User Mode Linux kernel`,
        })
      : new LabError("GUEST_BOOT", `${message}\nthe end of its console:\n${tail}`);
  }

  exec(request: ExecRequest): GuestProcess {
    return this.#agent.exec(this.#inFolder(request), this.#env);
  }

  /** Commands run where the image says, unless they say it themselves. */
  #inFolder(request: ExecRequest): ExecRequest {
    const cwd = request.cwd ?? this.#spec.image.process?.cwd;
    return cwd === undefined ? request : { ...request, cwd };
  }

  async run(
    request: ExecRequest,
    options: { input?: Uint8Array; signal?: AbortSignal } = {},
  ): Promise<ExecResult> {
    options.signal?.throwIfAborted();
    const noInput = options.input === undefined;
    const command = this.#agent.exec(this.#inFolder(request), this.#env, { noInput });
    const gather = (stream: NodeJS.ReadableStream) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      return () => Buffer.concat(chunks).toString("utf8");
    };
    const stdout = gather(command.stdout);
    const stderr = gather(command.stderr);
    command.stdin.end(options.input ?? Buffer.alloc(0));
    const abort = () => command.kill(9);
    options.signal?.addEventListener("abort", abort);
    try {
      const { code } = await command.exit;
      options.signal?.throwIfAborted();
      // Its streams' last data is delivered in the next turns of the event loop.
      await Promise.all([ended(command.stdout), ended(command.stderr)]);
      return { code, stdout: stdout(), stderr: stderr() };
    } finally {
      options.signal?.removeEventListener("abort", abort);
    }
  }

  readFile(path: string): Promise<Uint8Array> {
    return this.#agent.readFile(path);
  }

  writeFile(path: string, content: Uint8Array, mode = 0o644): Promise<void> {
    return this.#agent.writeFile(path, content, mode);
  }

  pause(): void {
    this.#signalAll("SIGSTOP");
  }

  resume(): void {
    this.#signalAll("SIGCONT");
  }

  /** All but the traced ones: their tracer, the kernel, would take the signal for the guest's. */
  #signalAll(signal: NodeJS.Signals): void {
    if (this.#record === undefined) return;
    for (const pid of hostProcessesOf(this.#record)) {
      if (isTraced(pid)) continue;
      try {
        process.kill(pid, signal);
      } catch {
        // gone meanwhile
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposing ??= this.#dispose();
    return this.#disposing;
  }

  async #dispose(): Promise<void> {
    await using _ = this.#cleanups;
    const gone = (ms: number) =>
      Promise.race([this.exited.then(() => true), sleep(ms, false, { ref: false })]);
    const kernel = this.kernelProcess;
    // a kernel that a debugger has stopped can't power off, and one that is traced can't be reaped
    if (kernel !== undefined) await endTracer(kernel);
    this.resume();
    if (this.#answered) {
      this.#agent.powerOff();
      if (await gone(POWER_OFF_MS)) return;
    }
    // The launcher ends all that descends from it, by its namespace or one by one.
    if (this.#record) signalProcess(this.#record, "SIGTERM");
    if (await gone(TERMINATE_MS)) return;
    if (this.#record) {
      for (const pid of hostProcessesOf(this.#record).reverse()) kill(pid);
    }
    await this.exited;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone meanwhile
  }
}

function ended(stream: NodeJS.ReadableStream & { readonly readableEnded?: boolean }) {
  return stream.readableEnded
    ? Promise.resolve()
    : new Promise<void>((resolve) => stream.once("close", () => resolve()));
}
