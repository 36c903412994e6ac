/**
 * What compiles a kernel: the machine's compiler, and the small tools around it, which come from
 * Debian packages in the cache where the machine lacks them. No root, and nothing is installed.
 * Where there is no compiler but a Docker engine, all of it happens in a container.
 */

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { LabError } from "../../base/errors.ts";
import { removeTree } from "../cache/cache.ts";
import { dockerEngine } from "../docker/engine.ts";
import { findProgram } from "../packages/apt.ts";
import { run } from "../packages/child.ts";
import { type Place, thisMachine } from "../packages/place.ts";
import type { EnsureOptions } from "../progress.ts";
import { ensureTool, type ToolName } from "../tools.ts";

const TOOLS: readonly ToolName[] = ["make", "bc", "flex", "bison", "m4", "xz", "patch"];

/** Which the compiler's packages bring along. */
const COMPILERS_OWN = ["gcc", "ld", "ar", "nm", "objcopy", "strip"];

const MEND = "sudo apt-get install gcc libc6-dev";

const CONTAINER_PACKAGES = "gcc libc6-dev make bc flex bison m4 xz-utils patch".split(" ");

export interface Toolchain extends AsyncDisposable {
  readonly place: Place;
  /** Its first line of `gcc --version`. */
  readonly compiler: string;
  readonly make: string;
  readonly xz: string;
  readonly patch: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * @param readable paths besides the cache that the tools must see.
 * Throws NO_TOOL where there is no compiler, with the command that mends it.
 */
export async function openToolchain(
  readable: readonly string[],
  options: EnsureOptions,
): Promise<Toolchain> {
  try {
    return await ourToolchain(options);
  } catch (error) {
    if (!(error instanceof LabError && error.code === "NO_TOOL")) throw error;
    const { docker } = await dockerEngine();
    if (docker === undefined) throw error;
    const { startContainerPlace } = await import("../docker/container-place.ts");
    const place = await startContainerPlace(docker, options, {
      packages: CONTAINER_PACKAGES,
      readable,
    });
    const { stdout } = await place.run(["gcc", "--version"], { signal: options.signal });
    return {
      place,
      compiler: stdout.split("\n")[0] ?? "gcc",
      ...{ make: "make", xz: "xz", patch: "patch" },
      env: { LC_ALL: "C", ...REPRODUCIBLE },
      [Symbol.asyncDispose]: async () => await place[Symbol.asyncDispose](),
    };
  }
}

async function ourToolchain(options: EnsureOptions): Promise<Toolchain> {
  const compiler = await examineCompiler(options.signal);
  const paths = new Map<ToolName, string>();
  for (const name of TOOLS) paths.set(name, await ensureTool(name, options));
  const path = (name: ToolName) => paths.get(name) as string;
  const folders = [...new Set([...paths.values()].map((tool) => dirname(tool)))];
  const host = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  return {
    place: thisMachine,
    compiler,
    ...{ make: path("make"), xz: path("xz"), patch: path("patch") },
    env: {
      PATH: [...host, ...folders.filter((folder) => !host.includes(folder))].join(delimiter),
      HOME: process.env.HOME ?? "/",
      // flex and bison find m4 by it
      M4: path("m4"),
      LC_ALL: "C",
      ...REPRODUCIBLE,
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** What a kernel would write into itself about where and when it was built. */
const REPRODUCIBLE = {
  KBUILD_BUILD_TIMESTAMP: "Thu Jan  1 00:00:00 UTC 1970",
  KBUILD_BUILD_VERSION: "1",
  KBUILD_BUILD_USER: "uml-lab",
  KBUILD_BUILD_HOST: "uml-lab",
  // for whatever else writes a date
  SOURCE_DATE_EPOCH: "0",
};

async function examineCompiler(signal: AbortSignal | undefined): Promise<string> {
  const missing = COMPILERS_OWN.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0) {
    throw new LabError(
      "NO_TOOL",
      `a kernel is compiled with gcc, and ${missing.join(", ")} ${missing.length > 1 ? "are" : "is"} not on this machine`,
      { hint: MEND },
    );
  }
  const work = mkdtempSync(join(tmpdir(), "uml-lab-cc-"));
  try {
    const source = join(work, "try.c");
    writeFileSync(source, '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n');
    const tried = await run(["gcc", "-static", "-o", join(work, "try"), source], { signal });
    if (tried.code !== 0) {
      const said = tried.stderr.trim().split("\n")[0];
      throw new LabError("NO_TOOL", `gcc can't make a static program: ${said}`, { hint: MEND });
    }
    const { stdout } = await run(["gcc", "--version"], { signal });
    return stdout.split("\n")[0] ?? "gcc";
  } finally {
    removeTree(work);
  }
}
