/**
 * gdb at a guest's kernel, which is an ordinary process of the host: the program, the symbols, and what
 * it must be told before a person (or a script) takes over.
 */

import { closeSync, openSync, readFileSync } from "node:fs";
import { LabError } from "../../base/errors.ts";
import type { ProcessRecord } from "../../base/processes.ts";
import type { Kernel } from "../guest/spec.ts";
import type { EnsureOptions } from "../progress.ts";
import { ensureTool } from "../tools.ts";
import { tracerOf } from "./debugger-left.ts";
import { ensureSymbols, type Symbols } from "./symbols.ts";

export interface Debugger {
  readonly program: string;
  /** all: source lines and types; functions: their names only. */
  readonly knows: Symbols["what"];
  /** What gdb is told before anything else. Throws NO_RIGHT, GUEST_FAILED where it could not attach. */
  readonly scriptFor: (kernel: DebuggedKernel) => string;
}

export interface DebuggedKernel {
  readonly guest: string;
  readonly process: ProcessRecord;
  /** It stands before its first instruction: go on to where the kernel begins. */
  readonly held: boolean;
}

/** Fetches gdb and makes symbols where they are missing. Throws NO_TOOL, NO_APT, FETCH_FAILED, NO_KERNEL. */
export async function ensureDebugger(
  kernel: Kernel,
  options: EnsureOptions = {},
): Promise<Debugger> {
  const [program, symbols] = await Promise.all([
    ensureTool("gdb", options),
    ensureSymbols(kernel, options),
  ]);
  return {
    program,
    knows: symbols.what,
    scriptFor: (debugged) => {
      checkAttach(debugged);
      return gdbScript(symbols, debugged);
    },
  };
}

/**
 * Signals by which User Mode Linux works: timer, devices, faults of its own pages, ends of its
 * processes. What they mean is the kernel's business; gdb passes them on. linux: arch/um/os-Linux/signal.c
 */
const SIGNALS = [
  ...[
    "SIGSEGV",
    "SIGBUS",
    "SIGILL",
    "SIGFPE",
    "SIGALRM",
    "SIGVTALRM",
    "SIGIO",
    "SIGUSR1",
    "SIGUSR2",
  ],
  ...["SIGCHLD", "SIGWINCH", "SIGPIPE", "SIGSYS"],
];

export function gdbScript(
  symbols: Symbols,
  { process, held }: Pick<DebuggedKernel, "process" | "held">,
): string {
  return [
    // The kernel's own root is its sandbox: what gdb needs is here.
    "set sysroot",
    // A guest makes a host process for each address space, and gdb would tell of every one.
    "set print thread-events off",
    "set print inferior-events off",
    `handle ${SIGNALS.join(" ")} nostop noprint pass`,
    // by which a kernel waits for its debugger
    "handle SIGSTOP nostop noprint nopass",
    `file ${quote(symbols.file)}`,
    `attach ${process.pid}`,
    ...(symbols.helpers === undefined ? [] : loadHelpers(symbols.helpers)),
    ...(held ? ["tbreak start_kernel", "continue"] : []),
    "",
  ].join("\n");
}

/**
 * Helpers that don't load are left away with a line on standard error: an error would end the script.
 * `$_streq` is made by gdb's own Python code; void where gdb has no Python, or doesn't find its code.
 */
function loadHelpers(script: string): string[] {
  return [
    "if $_isvoid($_streq)",
    `echo ${NO_HELPERS}: gdb has no Python\\n`,
    "else",
    "python",
    "import runpy, sys",
    // what is in the cache is never written to
    "sys.dont_write_bytecode = True",
    "try:",
    // what `source` does, which shows errors and goes on
    `  runpy.run_path(${JSON.stringify(script)}, {"gdb": gdb, "sys": sys})`,
    "except Exception as error:",
    `  gdb.write("${NO_HELPERS}: %s\\n" % " ".join(str(error).split()), gdb.STDERR)`,
    "end",
    "end",
  ];
}

const NO_HELPERS = "the kernel's own commands (lx-ps, lx-dmesg) are left away";

const quote = (path: string): string => `"${path.replace(/["\\]/g, "\\$&")}"`;

const YAMA = "/proc/sys/kernel/yama/ptrace_scope";

function checkAttach({ guest, process: { pid } }: DebuggedKernel): void {
  const tracer = tracerOf(pid);
  if (tracer !== 0) {
    throw new LabError("GUEST_FAILED", `${guest} is traced already, by process ${tracer}`, {
      hint: "end that debugger first; one kernel has one at a time",
    });
  }
  try {
    // proc(5): asks for the same right as PTRACE_ATTACH
    closeSync(openSync(`/proc/${pid}/mem`, "r"));
  } catch (cause) {
    throw new LabError("NO_RIGHT", `the kernel of ${guest} (process ${pid}) can't be debugged`, {
      cause,
      hint: adviceFor(yamaScope()),
    });
  }
}

/** linux: Documentation/admin-guide/LSM/Yama.rst */
export function adviceFor(scope: number | undefined): string {
  if (scope === 3)
    return "kernel.yama.ptrace_scope is 3: nothing is debugged here before the next boot";
  if (scope === 2) return "only root may debug here: sudo sysctl kernel.yama.ptrace_scope=1";
  return "only who started a lab can debug its guests";
}

function yamaScope(): number | undefined {
  try {
    return Number(readFileSync(YAMA, "latin1"));
  } catch {
    return undefined; // no Yama
  }
}
