/**
 * Compiles the small programs of this folder (the guest's agent, the launcher, the stream of data that
 * measures, …), and keeps them in the cache by a hash of their sources and the compiler.
 *
 * The machine's own gcc, clang or cc is used where there is one that can; else Debian's tcc, which
 * needs no installation.
 */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { LabError, messageOf } from "../../base/errors.ts";
import { cacheFolder } from "../../base/folders.ts";
import { packageRoot } from "../../base/package-root.ts";
import { ensureTool } from "../tools.ts";

const run = promisify(execFile);

export type Program = "agent" | "launcher" | "load" | "probe" | "symbols";

const HEADERS = ["sys.h", "protocol.h"];

const FLAGS = {
  /** gcc and clang. No start files and no libraries: only what the source says. */
  gnu: [
    ...["-Os", "-std=gnu99", "-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-s"],
    ...["-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fcf-protection=none"],
    ...["-Wl,--build-id=none", "-Wl,-z,norelro", "-Wl,-z,noseparate-code"],
    // gcc alone would make memset call itself
    "-fno-builtin",
  ],
  tcc: ["-nostdinc", "-nostdlib", "-static"],
};

export interface Compiler {
  readonly path: string;
  readonly kind: keyof typeof FLAGS;
}

export interface BuildOptions {
  readonly signal?: AbortSignal;
  /** For tests; otherwise chosen. */
  readonly compiler?: Compiler;
}

/** The executable at its place in the cache; compiled first if it isn't there. */
export async function ensureProgram(program: Program, options: BuildOptions = {}): Promise<string> {
  const folder = join(packageRoot, "kernel", "agent");
  const sources = [`${program}.c`, ...HEADERS].map((name) => readFileSync(join(folder, name)));
  const failures: string[] = [];
  for await (const compiler of candidates(options)) {
    const hash = createHash("sha256");
    for (const source of sources) hash.update(source).update("\0");
    hash.update(compiler.path).update(JSON.stringify(FLAGS[compiler.kind]));
    const home = join(cacheFolder(), "programs");
    const path = join(home, `${program}-${hash.digest("hex").slice(0, 12)}`);
    if (isExecutable(path)) return path;
    mkdirSync(home, { recursive: true });
    const part = `${path}.${process.pid}.part`;
    try {
      await run(
        compiler.path,
        [...FLAGS[compiler.kind], "-o", part, join(folder, `${program}.c`)],
        options.signal === undefined ? {} : { signal: options.signal },
      );
      renameSync(part, path);
      return path;
    } catch (error) {
      rmSync(part, { force: true });
      options.signal?.throwIfAborted();
      failures.push(`${compiler.path}: ${messageOf(error)}`);
    }
  }
  throw new LabError("NO_TOOL", `the ${program} can't be compiled here\n${failures.join("\n")}`, {
    hint: "install gcc, clang or tcc",
  });
}

async function* candidates(options: BuildOptions): AsyncGenerator<Compiler> {
  if (options.compiler !== undefined) {
    yield options.compiler;
    return;
  }
  for (const name of ["gcc", "clang", "cc"]) {
    const path = findOnPath(name);
    if (path !== undefined) yield { path, kind: "gnu" };
  }
  yield { path: await ensureTool("tcc", { signal: options.signal }), kind: "tcc" };
}

/** The first executable of that name on PATH. */
export function findOnPath(name: string): string | undefined {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => folder.startsWith("/"))
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
