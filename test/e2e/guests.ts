/** What tests with real guests share: a kernel and an image, a folder each, and who is left. */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { type ProcessRecord, recordProcess } from "../../base/processes.ts";
import { bootGuest } from "../../kernel/guest/boot.ts";
import { hostProcessesOf } from "../../kernel/guest/host-processes.ts";
import type {
  BootOptions,
  ExecResult,
  GuestSetup,
  GuestSpec,
  Image,
  Kernel,
  RunningGuest,
} from "../../kernel/guest/spec.ts";
import { ensureImage } from "../../kernel/images.ts";
import { ensureKernel } from "../../kernel/kernels.ts";
import { ownSharedMemory } from "./leftovers.ts";

let found: Promise<{ kernel: Kernel; image: Image }> | undefined;

/** Fetched on first use. */
export function kernelAndImage(): Promise<{ kernel: Kernel; image: Image }> {
  found ??= Promise.all([ensureKernel("auto"), ensureImage("base")]).then(([kernel, image]) => ({
    kernel,
    image,
  }));
  return found;
}

export const emptySetup = (hostname: string): GuestSetup => ({
  hostname,
  hosts: [],
  sysctl: {},
  interfaces: [],
  routes: [],
  files: [],
  env: {},
  services: [],
  startsImage: false,
  run: [],
});

type SpecChanges = Partial<Omit<GuestSpec, "setup">> & { readonly setup?: Partial<GuestSetup> };

/** A scratch folder, and guests in it; `check` ends a test file. */
export class Guests {
  #folder: string | undefined;
  readonly #records: ProcessRecord[] = [];
  readonly #memoryBefore = ownSharedMemory();

  /** Made when it is asked for: suites that are described and not run leave none. */
  get folder(): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), "uml-e2e-"));
    return this.#folder;
  }

  async boot(
    name: string,
    changes: SpecChanges = {},
    options: Partial<BootOptions> = {},
  ): Promise<RunningGuest> {
    const { kernel, image } = await kernelAndImage();
    const folder = join(this.folder, name);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const guest = await bootGuest(
      {
        name,
        kernel,
        image,
        memoryBytes: image.defaultMemoryBytes,
        isolation: "fast",
        cpu: undefined,
        nicSockets: [],
        folder,
        ...changes,
        setup: { ...emptySetup(name), ...changes.setup },
      },
      {
        signal: new AbortController().signal,
        ...options,
        onProcess: (record) => {
          this.#records.push(record);
          options.onProcess?.(record);
        },
      },
    );
    this.#records.push(...recordsOf(guest.process));
    return guest;
  }

  /** Expects that no process and no file of any guest is left. */
  async check(): Promise<void> {
    expect(await livingOf(this.#records), "processes left").to.deep.equal([]);
    const files = readdirSync(this.folder, { recursive: true, encoding: "utf8" }).filter(
      (path) => path.includes("/") && !path.endsWith("/console.log"),
    );
    rmSync(this.folder, { recursive: true });
    expect(files, "files left").to.deep.equal([]);
    const left = ownSharedMemory().filter((name) => !this.#memoryBefore.includes(name));
    expect(left, "/dev/shm").to.deep.equal([]);
  }
}

export function recordsOf(launcher: ProcessRecord): ProcessRecord[] {
  return hostProcessesOf(launcher)
    .map(recordProcess)
    .filter((record) => record !== undefined);
}

/** Those of the processes that are there, once none is dying any more (or after a few seconds). */
export async function livingOf(records: readonly ProcessRecord[]): Promise<number[]> {
  for (let round = 0; ; round++) {
    const living = records.filter(({ pid, startTime }) => {
      try {
        // Zombies too: a guest leaves none.
        const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
        return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] === startTime;
      } catch {
        return false;
      }
    });
    if (living.length === 0 || round === 100) return living.map(({ pid }) => pid);
    await sleep(50);
  }
}

export const shell = (guest: RunningGuest, command: string): Promise<ExecResult> =>
  guest.run({ command: ["sh", "-c", command] });

/** Waits until it holds, with a generous deadline. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let round = 0; !(await holds()); round++) {
    if (round === 1000) expect.fail(`never: ${what}`);
    await sleep(20);
  }
}
