/** The shared libraries an executable is started with, and its dynamic linker. */

import { execFile } from "node:child_process";
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { LabError, messageOf } from "../../base/errors.ts";

const run = promisify(execFile);

// elf(5)
const PT_INTERP = 3;
const E_PHOFF = 32;
const E_PHENTSIZE = 54;
const E_PHNUM = 56;
const P_OFFSET = 8;
const P_FILESZ = 32;

const COMPILER_LIBRARY = "libgcc_s.so.1";
const LIBRARY_FOLDERS = [
  "/usr/lib/x86_64-linux-gnu",
  "/lib/x86_64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
];

/** Where Debian's dynamic linker looks without being told. */
export const COMPILER_LIBRARY_PLACE = `/usr/lib/x86_64-linux-gnu/${COMPILER_LIBRARY}`;

const known = new Map<string, Promise<readonly string[]>>();

/** Absolute paths, as the executable names them; none for a static one. Asked once a path. */
export function librariesOf(executable: string): Promise<readonly string[]> {
  let answer = known.get(executable);
  if (answer === undefined) {
    answer = find(executable);
    answer.catch(() => known.delete(executable));
    known.set(executable, answer);
  }
  return answer;
}

async function find(executable: string): Promise<readonly string[]> {
  try {
    const linker = interpreterOf(executable);
    if (linker === undefined) return [];
    const { stdout } = await run(linker, ["--list", executable], { env: {} });
    return [linker, ...parseList(stdout)].filter((path, i, all) => all.indexOf(path) === i);
  } catch (cause) {
    throw new LabError("NO_KERNEL", `${executable} can't be executed: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/**
 * What a threaded kernel (7.x) loads when it powers off or reboots: the compiler's library. Without
 * it the kernel aborts then, which a power-off survives and a reboot doesn't.
 * @param libraries of the kernel. Answers undefined where there is none.
 */
export function compilerLibrary(libraries: readonly string[]): string | undefined {
  const folders = [...libraries.map(dirname), ...LIBRARY_FOLDERS];
  return folders.map((folder) => join(folder, COMPILER_LIBRARY)).find((path) => existsSync(path));
}

/** Lines like `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`. */
export function parseList(text: string): string[] {
  return [...text.matchAll(/^\s+(?:(\S+) => )?(\/\S+) \(0x/gm)]
    .filter(([, name]) => !name?.startsWith("/")) // the linker itself, under its own name
    .map(([, , path]) => path as string);
}

/** The dynamic linker that an ELF executable names. Throws where it is none for this machine. */
export function interpreterOf(executable: string): string | undefined {
  const fd = openSync(executable, "r");
  try {
    const read = (at: number, length: number) => {
      const bytes = Buffer.alloc(length);
      readSync(fd, bytes, 0, length, at);
      return bytes;
    };
    const header = read(0, 64);
    if (header.toString("latin1", 0, 5) !== "\x7fELF\x02") throw new Error("not a 64-bit program");
    const size = header.readUInt16LE(E_PHENTSIZE);
    for (let i = 0; i < header.readUInt16LE(E_PHNUM); i++) {
      const entry = read(Number(header.readBigUInt64LE(E_PHOFF)) + i * size, size);
      if (entry.readUInt32LE(0) !== PT_INTERP) continue;
      const length = Number(entry.readBigUInt64LE(P_FILESZ));
      return read(Number(entry.readBigUInt64LE(P_OFFSET)), length)
        .toString("latin1")
        .replace(/\0$/, "");
    }
    return undefined;
  } finally {
    closeSync(fd);
  }
}
