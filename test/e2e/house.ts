/** The command as a user has it, in a run folder and a temporary folder of its own. */

import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "chai";
import { cacheFolder } from "../../base/folders.ts";
import { packageRoot } from "../../base/package-root.ts";
import { type Leftovers, lookForLeftovers } from "./leftovers.ts";
import { NOBODY, nobodysCache } from "./nobody.ts";

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where the product may write; nothing of it is left. */
const FOLDERS = ["run", "tmp", "home", "data"];

export class House {
  readonly folder: string;
  readonly #nobody: boolean;
  readonly #through: readonly string[];
  readonly #before: Leftovers;

  /**
   * @param nobody as an unprivileged user; needs root to become one.
   * @param through a command that runs the words behind it, and becomes that user itself.
   */
  constructor({ nobody = false, through = [] as readonly string[] } = {}) {
    this.#nobody = nobody;
    this.#through = through;
    this.folder = mkdtempSync(join(tmpdir(), "ule-"));
    for (const name of FOLDERS) mkdirSync(join(this.folder, name), { mode: 0o700 });
    chmodSync(this.folder, 0o755);
    if (nobody) {
      for (const name of FOLDERS) {
        chownSync(join(this.folder, name), NOBODY, NOBODY);
      }
    }
    mkdirSync(join(this.folder, "files"));
    this.#before = this.#look();
  }

  get runFolder(): string {
    return join(this.folder, "run", "uml-lab");
  }

  /** Writes a topology and answers its path. */
  topology(name: string, text: string): string {
    const path = join(this.folder, "files", `${name}.yaml`);
    writeFileSync(path, `name: ${name}\n${text}`);
    return path;
  }

  start(...words: readonly string[]): ChildProcess {
    const main = join(packageRoot, "bin", "uml-lab.js");
    const [program, ...rest] = [...this.#through, process.execPath, main, ...words];
    return spawn(program as string, rest, {
      cwd: this.folder,
      stdio: "pipe",
      env: {
        PATH: process.env.PATH,
        HOME: join(this.folder, "home"),
        TMPDIR: join(this.folder, "tmp"),
        XDG_RUNTIME_DIR: join(this.folder, "run"),
        XDG_DATA_HOME: join(this.folder, "data"),
        UML_LAB_CACHE: this.#nobody ? nobodysCache() : cacheFolder(),
        ...(process.env.DOCKER_HOST ? { DOCKER_HOST: process.env.DOCKER_HOST } : {}),
        ...(process.env.UML_LAB_KERNEL ? { UML_LAB_KERNEL: process.env.UML_LAB_KERNEL } : {}),
      },
      ...(this.#nobody && this.#through.length === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
    });
  }

  async run(...words: readonly string[]): Promise<Outcome> {
    const child = this.start(...words);
    child.stdin?.end();
    return outcomeOf(child);
  }

  /** Runs with --format json; asserts the status and answers the document. */
  // biome-ignore lint/suspicious/noExplicitAny: documents of every kind
  async json(status: number, ...words: readonly string[]): Promise<any> {
    const outcome = await this.run(...words, "--format", "json");
    expect(outcome.status, `${words.join(" ")}: ${outcome.stdout}${outcome.stderr}`).to.equal(
      status,
    );
    return JSON.parse(outcome.stdout);
  }

  /** Runs a shell command in a guest; asserts that it succeeds and answers its output. */
  async sh(guest: string, command: string): Promise<string> {
    const { status, stdout, stderr } = await this.run("exec", guest, "--", "sh", "-c", command);
    expect(status, `${guest}: ${command}: ${stdout}${stderr}`).to.equal(0);
    return stdout;
  }

  /** One TCP connection to port 99 of a guest is taken from now on; what `sink` prints of it, when it ended. */
  async listen(guest: string, sink: string): Promise<{ readonly sunk: Promise<Outcome> }> {
    const sunk = this.run("exec", guest, "--", "sh", "-c", takingOne(sink));
    await eventually("a listener", async () =>
      / 0A /.test(await this.sh(guest, "cat /proc/net/tcp /proc/net/tcp6 | grep :0063; true")),
    );
    return { sunk };
  }

  /** What `sink` in one guest prints of what `source` in another sends it over TCP. */
  async transfer(
    source: string,
    [from, to]: readonly [string, string],
    address: string,
    sink: string,
  ): Promise<string> {
    const { sunk } = await this.listen(to, sink);
    await this.sh(from, `${source} | nc ${address} 99`);
    return (await sunk).stdout;
  }

  /** Ends what a failed test left running, then asserts that nothing is left, and removes itself. */
  async check(): Promise<void> {
    await this.run("down", "--all");
    await this.run("clean");
    try {
      await this.expectNothingLeft();
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }

  async expectNothingLeft(): Promise<void> {
    // The last process of a pid namespace is reaped a moment after its launcher.
    for (let tries = 0; tries < 40 && this.#look().processes.length > 0; tries++) await sleep(25);
    const { files, ...rest } = this.#look();
    expect(rest).to.deep.equal({ ...rest, ...without(this.#before) });
    expect(files).to.deep.equal([]);
  }

  #look(): Leftovers {
    return lookForLeftovers(FOLDERS.map((name) => join(this.folder, name)));
  }
}

function without({ files: _, ...rest }: Leftovers): Omit<Leftovers, "files"> {
  return rest;
}

export async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const texts = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk: Buffer) => {
    texts.stdout += chunk.toString("utf8");
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    texts.stderr += chunk.toString("utf8");
  });
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { status, ...texts };
}

/** Waits until it holds; fails with what was waited for. */
export async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await holds()) return;
    await sleep(25);
  }
  expect.fail(`never came: ${what}`);
}

/** A shell command that takes one TCP connection at port 99, and hangs up with the other side. */
const takingOne = (then: string): string =>
  `mkfifo /tmp/open; sleep 600 > /tmp/open & nc -l -p 99 < /tmp/open | ${then}; kill $!`;
