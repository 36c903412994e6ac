/**
 * What it takes to boot one guest, and what a running one offers. The types between `lab` and
 * `kernel`; the work is in `boot.ts`.
 */

import type { Readable, Writable } from "node:stream";
import type { ProcessRecord } from "../../base/processes.ts";

/** A kernel at hand: an executable, its modules, what it can do. */
export interface Kernel {
  /** `debian-7.2.7`, `lean-7.3.4-1a2b3c`, or the path it was given by. */
  readonly id: string;
  readonly release: string;
  readonly executable: string;
  /** Folder with the modules the initramfs packs; undefined where all is built in. */
  readonly modules: string | undefined;
  /**
   * The same modules as a read-only squashfs whose top holds `RELEASE/modules.dep` …: a guest that
   * has it mounted on /usr/lib/modules can load what it likes. Undefined where there is none.
   */
  readonly modulesImage?: string | undefined;
  /** What this kernel boots faster with: it belongs on every guest's command line. */
  readonly bootArguments?: readonly string[];
  /** For a person: packages and versions, or source, configuration and patches. */
  readonly madeFrom?: readonly string[];
  readonly features: {
    /** `seccomp=on` is understood (UML since 6.16). */
    readonly seccomp: boolean;
    readonly timeTravel: boolean;
    /** It sees every interrupt without a tick (docs/decisions/0601-ticks-in-idle-guests.md). */
    readonly tickless?: boolean;
  };
}

/** What a container image says of the process that it is for. */
export interface ImageProcess {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** `name`, `uid`, `name:group`, …, of whom `command` runs as; empty: root. */
  readonly user: string;
  /** ENTRYPOINT and CMD; empty where there is none. */
  readonly command: readonly string[];
}

/** A root file system at hand, shared read-only by all guests that use it. */
export interface Image {
  /** `base-1a2b3c4d`: its name and a hash of its inputs. */
  readonly id: string;
  readonly reference: string;
  /** Read-only block image handed to the guest as `ubd`. */
  readonly file: string;
  readonly fileSystem: "squashfs" | "ext4" | "erofs";
  /** The least RAM a guest with it needs, and what it gets when the file says nothing. */
  readonly minimumMemoryBytes: number;
  readonly defaultMemoryBytes: number;
  readonly process?: ImageProcess | undefined;
}

export interface GuestInterface {
  /** `eth0`, `eth1`, …: in the order of the vhost-user sockets. */
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** `10.0.1.10/24`, canonical. */
  readonly addresses: readonly string[];
}

export interface GuestFile {
  readonly path: string;
  readonly content: Uint8Array;
  /** Permission bits, e.g. 0o644. */
  readonly mode: number;
}

/** A daemon or several: a shell script starts them, and they answer when it has ended well. */
export interface GuestService {
  /** For messages: `FRR`. */
  readonly name: string;
  readonly start: string;
}

/** Everything the guest is told once its agent answers, in this order. All values are checked. */
export interface GuestSetup {
  readonly hostname: string;
  /** Lines of /etc/hosts besides localhost: every guest of the lab by name. */
  readonly hosts: readonly { readonly address: string; readonly names: readonly string[] }[];
  readonly sysctl: Readonly<Record<string, string>>;
  readonly interfaces: readonly GuestInterface[];
  /** `to` is a prefix or `default`; family follows from `via`. */
  readonly routes: readonly { readonly to: string; readonly via: string }[];
  readonly files: readonly GuestFile[];
  readonly env: Readonly<Record<string, string>>;
  /** Started one after another, before `run`. */
  readonly services: readonly GuestService[];
  /** The image's own command is started after them, and left to run; its output is on the console. */
  readonly startsImage: boolean;
  readonly run: readonly string[];
}

export interface GuestSpec {
  readonly name: string;
  readonly kernel: Kernel;
  readonly image: Image;
  readonly memoryBytes: number;
  readonly isolation: "fast" | "strict";
  /** Host CPU that all of the guest's host processes are pinned to; undefined pins to none. */
  readonly cpu: number | undefined;
  /** Paths of the vhost-user sockets (the fabric listens), in the order eth0, eth1, … */
  readonly nicSockets: readonly string[];
  /** A file with an ext4 file system: the guest's writable layer, which outlives it. RAM without. */
  readonly disk?: string | undefined;
  /** The guest's private folder (0700, exists): console.log and whatever booting needs. */
  readonly folder: string;
  readonly setup: GuestSetup;
}

export interface BootOptions {
  readonly signal: AbortSignal;
  /** From exec of the kernel to the agent's "ready"; default 60 000. */
  readonly timeoutMs?: number;
  readonly onPhase?: (phase: GuestPhase) => void;
  /**
   * For a debugger: the kernel stands at its first instruction when this is called, until it gets SIGCONT
   * or a debugger lets it go on. The time that booting may take begins when it resolves.
   */
  readonly onHeld?: (kernel: ProcessRecord) => Promise<void>;
  /** For tests; otherwise the best that works on this machine. */
  readonly sandbox?: "namespaces" | "landlock" | "none";
  /** For tests; otherwise compiled, or found in the cache. */
  readonly programs?: { readonly agent: string; readonly launcher: string };
  /** Called before anything else can happen to the process: write it down for `clean`. */
  readonly onProcess: (record: ProcessRecord) => void;
}

/** starting: kernel executed; agent: its agent answered; setup: being configured; ready. */
export type GuestPhase = "starting" | "agent" | "setup" | "ready";

export interface ExecRequest {
  /** argv; the first is looked up in the guest's PATH. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Give it a terminal of this size; then stderr is part of stdout. */
  readonly terminal?: { readonly columns: number; readonly rows: number; readonly term?: string };
  /** Its standard input and output are one socket, as servers that inetd starts want it. */
  readonly socket?: boolean;
}

/** A command in a guest. Streams obey backpressure end to end. */
export interface GuestProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when it ended and its output is complete; rejects (GUEST_FAILED) if the guest dies. */
  readonly exit: Promise<{ readonly code: number; readonly signal: number | undefined }>;
  resize(columns: number, rows: number): void;
  kill(signal: number): void;
}

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why a guest is no more: its kernel's exit, and the last lines of its console. */
export interface GuestExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly consoleTail: string;
}

/** A guest that is ready. Disposing it powers it off (TERM to its group, then KILL). */
export interface RunningGuest extends AsyncDisposable {
  readonly name: string;
  /** The process that leads its others. */
  readonly process: ProcessRecord;
  /** The one that is its kernel; undefined once that has ended. */
  readonly kernelProcess: ProcessRecord | undefined;
  /** From exec of the kernel to ready, milliseconds. */
  readonly bootMs: number;
  readonly consolePath: string;
  readonly exited: Promise<GuestExit>;
  exec(request: ExecRequest): GuestProcess;
  /** Runs to the end and gathers the output. `input` goes to stdin, which is then closed. */
  run(
    request: ExecRequest,
    options?: { input?: Uint8Array; signal?: AbortSignal },
  ): Promise<ExecResult>;
  readFile(path: string): Promise<Uint8Array>;
  writeFile(path: string, content: Uint8Array, mode?: number): Promise<void>;
  /**
   * Makes it what another setup says, in place: host table, sysctl, addresses, routes, files, and the
   * environment of commands. What only a boot can change is left. Throws GUEST_SETUP, GUEST_FAILED.
   */
  change(setup: GuestSetup): Promise<void>;
  /** What the console is sent (console input); output is in `consolePath` and this stream. */
  readonly console: { readonly input: Writable; readonly output: Readable };
  /** SIGSTOP and SIGCONT to all of its host processes. */
  pause(): void;
  resume(): void;
}
