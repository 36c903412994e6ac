/** `make` in a kernel's tree: configures it, compiles it, and tells how far it is. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { LabError } from "../../base/errors.ts";
import type { EnsureOptions } from "../progress.ts";
import { notTaken } from "./configuration.ts";
import { countObjects } from "./objects.ts";
import type { Toolchain } from "./toolchain.ts";

/** What the configuration compiles, for the estimate (7.3.4: 1 328); the true number shows at the end. */
const OBJECTS = 1330;

/** Without these no guest boots. */
const NEEDED = [
  ...["UML", "VIRTIO_UML", "VIRTIO_NET", "BLK_DEV_UBD", "BLK_DEV_INITRD", "BINFMT_ELF"],
  ...["SQUASHFS", "OVERLAY_FS", "DEVTMPFS", "PROC_FS", "INET"],
];

/** The configuration would ask rustc for its version, and rustup's writes into the home folder then. */
const NO_RUST = "RUSTC=false";

export interface MakeOptions extends EnsureOptions {
  /** Processes at once; all processors by default. */
  readonly jobs?: number | undefined;
}

/** Runs `make` on a tree, with a toolchain. */
export class Make {
  notTaken: readonly string[] = [];
  readonly #tree: string;
  readonly #out: string;
  readonly #toolchain: Toolchain;
  readonly #lockFd: number;
  readonly #options: MakeOptions;

  constructor(
    tree: string,
    out: string,
    toolchain: Toolchain,
    lockFd: number,
    options: MakeOptions,
  ) {
    this.#tree = tree;
    this.#out = out;
    this.#toolchain = toolchain;
    this.#lockFd = lockFd;
    this.#options = options;
  }

  /** Writes `.config` from the fragment, unless that was done already. Throws BUILD_FAILED. */
  async configure(fragment: string): Promise<void> {
    mkdirSync(this.#out, { recursive: true });
    const path = join(this.#out, "lean.config");
    const config = join(this.#out, ".config");
    const same = existsSync(path) && readFileSync(path, "utf8") === fragment;
    if (!same || !existsSync(config)) {
      this.#options.onProgress?.({ what: "configuring the kernel", done: 0, unit: "items" });
      writeFileSync(path, fragment);
      await this.#make(["allnoconfig"], { KCONFIG_ALLCONFIG: path });
    }
    const missing = NEEDED.filter((name) => !this.#configured(name));
    if (missing.length > 0) {
      throw new LabError("BUILD_FAILED", `this source can't have ${missing.join(", ")} built in`);
    }
    this.notTaken = notTaken(fragment, readFileSync(config, "utf8"));
  }

  /** Throws BUILD_FAILED, NO_SPACE. */
  async build(): Promise<void> {
    const { onProgress, jobs = availableParallelism() } = this.#options;
    const what = "compiling the kernel";
    const there = countObjects(this.#out);
    const startedAt = performance.now();
    let done = there;
    const tell = () => {
      const total = Math.max(OBJECTS, done + 1);
      const each = (performance.now() - startedAt) / (done - there);
      // the first few tell little
      const known = done - there >= 20 ? { leftMs: each * (total - done) } : {};
      onProgress?.({ what, done, total, unit: "items", ...known });
    };
    tell();
    const goals = this.#configured("GDB_SCRIPTS") ? ["linux", "scripts_gdb"] : ["linux"];
    await this.#make([`-j${jobs}`, ...goals], {}, (line) => {
      // `  CC      net/ipv4/route.o`
      if (!/^ {2}(?:HOST)?(?:CC|AS) /.test(line)) return;
      done++;
      tell();
    });
  }

  async release(): Promise<string> {
    const { stdout } = await this.#make(["-s", "kernelrelease"]);
    return stdout.trim().split("\n").at(-1) ?? "";
  }

  #configured(name: string): boolean {
    return readFileSync(join(this.#out, ".config"), "utf8").includes(`\nCONFIG_${name}=y\n`);
  }

  async #make(
    words: readonly string[],
    env: NodeJS.ProcessEnv = {},
    onLine?: (line: string) => void,
  ) {
    const { make, env: base, place } = this.#toolchain;
    const fixed = ["ARCH=um", `O=${this.#out}`, NO_RUST];
    const command = [make, "-C", this.#tree, ...fixed, ...words];
    const result = await place.run(command, {
      env: { ...base, ...env },
      signal: this.#options.signal,
      lockFd: this.#lockFd,
      ...(onLine === undefined ? {} : { onLine }),
    });
    if (result.code !== 0) {
      const lines = result.stderr.split("\n").filter((line) => line.trim() !== "");
      const first = lines.findIndex((line) => /error|not clean|No space/i.test(line));
      const said = first < 0 ? lines.slice(-8) : lines.slice(first, first + 8);
      throw new LabError(
        /No space left/.test(result.stderr) ? "NO_SPACE" : "BUILD_FAILED",
        `make ${words.at(-1)} ended with ${result.code}\n  ${said.join("\n  ")}`,
      );
    }
    return result;
  }
}
