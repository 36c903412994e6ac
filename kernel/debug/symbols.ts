/**
 * Where a debugger finds a kernel's symbols: in the executable, in `linux.debug` beside it
 * (`kernel build --debug`), or, of a kernel that was stripped, in a copy with the functions' names that
 * the kernel itself knows. For these it is booted once, with a program that tells them.
 *
 *     CACHE/symbols/1a2b3c4d5e6f/{linux,manifest.json}
 */

import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { LabError } from "../../base/errors.ts";
import { ensureProgram } from "../agent/build.ts";
import { bootBriefly } from "../brief-boot.ts";
import { ensurePublished } from "../cache/cache.ts";
import type { Kernel } from "../guest/spec.ts";
import { makeCpio } from "../initramfs/cpio.ts";
import type { EnsureOptions } from "../progress.ts";
import { addSymbols, hasSymbols, parseKallsyms } from "./add-symbols.ts";

export interface Symbols {
  /** What the debugger loads; its code is that of the kernel. */
  readonly file: string;
  /** all: source lines and types; functions: their names only. */
  readonly what: "all" | "functions";
  /** The script with helpers (`lx-ps`, `lx-dmesg`); undefined where there is none. */
  readonly helpers: string | undefined;
}

/** A change of how the copies are made gets new ones. */
const LAYOUT = 2;

/** More than any kernel has to tell. linux: arch/um/drivers/ubd_kern.c wants a size beforehand. */
const ROOM_BYTES = 32 << 20;

/** Throws NO_KERNEL where the kernel tells nothing, NO_TOOL. */
export async function ensureSymbols(kernel: Kernel, options: EnsureOptions = {}): Promise<Symbols> {
  const { executable } = kernel;
  const script = join(dirname(executable), "gdb", "vmlinux-gdb.py");
  if (existsSync(`${executable}.debug`)) {
    return { file: executable, what: "all", helpers: existsSync(script) ? script : undefined };
  }
  const content = readFileSync(executable);
  if (hasSymbols(content) === true) {
    const beside = join(dirname(executable), "vmlinux-gdb.py");
    return { file: executable, what: "all", helpers: existsSync(beside) ? beside : undefined };
  }
  const name = createHash("sha256")
    .update(String(LAYOUT))
    .update(content)
    .digest("hex")
    .slice(0, 12);
  const purpose = `asking Linux ${kernel.release} for its symbols`;
  const { folder } = await ensurePublished(
    "symbols",
    name,
    { ...options, purpose },
    async (build) => {
      options.onProgress?.({ what: purpose, done: 0, unit: "items" });
      const symbols = parseKallsyms(await askForSymbols(kernel, build.scratch, options.signal));
      const copy = symbols.length === 0 ? undefined : addSymbols(content, symbols);
      if (copy === undefined) {
        throw new LabError("NO_KERNEL", `the kernel ${kernel.id} has no symbols, and tells none`, {
          hint: "debug one that is built for it: uml-lab kernel build --debug",
        });
      }
      writeFileSync(join(build.folder, "linux"), copy, { mode: 0o755 });
      return { kernel: kernel.id, functions: symbols.length };
    },
  );
  return { file: join(folder, "linux"), what: "functions", helpers: undefined };
}

/** Its /proc/kallsyms as text; empty where it has none (CONFIG_KALLSYMS). */
async function askForSymbols(
  kernel: Kernel,
  scratch: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const program = await ensureProgram("symbols", signal === undefined ? {} : { signal });
  const answer = join(scratch, "answer");
  const fd = openSync(answer, "w+");
  try {
    ftruncateSync(fd, ROOM_BYTES);
  } finally {
    closeSync(fd);
  }
  await bootBriefly({
    executable: kernel.executable,
    initramfs: makeCpio([
      { path: "dev", type: "folder", mode: 0o755 },
      { path: "dev/console", type: "character device", mode: 0o600, major: 5, minor: 1 },
      { path: "proc", type: "folder", mode: 0o555 },
      // linux: Documentation/admin-guide/devices.txt: 98 block, User-mode virtual block device
      { path: "symbols", type: "block device", mode: 0o600, major: 98, minor: 0 },
      { path: "init", type: "file", mode: 0o755, content: readFileSync(program) },
    ]),
    // d: data, whatever it begins with
    arguments: [...(kernel.bootArguments ?? []), `ubd0d=${answer}`],
    scratch,
    signal,
  });
  signal?.throwIfAborted();
  const text = readFileSync(answer);
  const end = text.indexOf(0);
  return text.toString("latin1", 0, end < 0 ? text.length : end);
}
