/**
 * What must hold when a debugger has left a guest's kernel, however it left: gdb that is killed, or told
 * to end while the kernel runs, can leave the kernel stopped and its breakpoints in the code, and the
 * next packet that comes by one of them would be the guest's end.
 */

import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, type ProcessRecord, signalProcess } from "../../base/processes.ts";

/** How long gdb may take to leave by itself. */
const LEAVE_MS = 2_000;
const POLL_MS = 10;

/** proc(5): the process that traces it, 0 for none or where it is gone. */
export function tracerOf(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return Number(/^TracerPid:\s*(\d+)$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Ends whatever traces the kernel: asks it first. One of another user can't be ended. */
export async function endTracer(kernel: ProcessRecord): Promise<void> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const tracer = tracerOf(kernel.pid);
    if (tracer === 0) return;
    try {
      process.kill(tracer, signal);
    } catch {
      return; // gone meanwhile, or not ours
    }
    for (let waitedMs = 0; waitedMs < LEAVE_MS; waitedMs += POLL_MS) {
      if (tracerOf(kernel.pid) !== tracer) return;
      await sleep(POLL_MS);
    }
  }
}

/** Without a debugger, without its breakpoints, and running. Answers how many breakpoints it had left. */
export async function afterDebugger(kernel: ProcessRecord, executable: string): Promise<number> {
  await endTracer(kernel);
  if (!isAlive(kernel)) return 0;
  const removed = removeBreakpoints(kernel.pid, executable);
  signalProcess(kernel, "SIGCONT");
  return removed;
}

/** x86: int3 */
const BREAKPOINT = 0xcc;

// elf(5): Elf64_Ehdr, Elf64_Phdr
const E_PHOFF = 0x20;
const E_PHENTSIZE = 0x36;
const E_PHNUM = 0x38;
const PT_LOAD = 1;
const PF_X = 1;
const PF_W = 2;

/** Where an executable's code is, in the file and in memory. */
export function codeOf(
  executable: Buffer,
): { readonly offset: number; readonly address: number; readonly bytes: number }[] {
  const at = Number(executable.readBigUInt64LE(E_PHOFF));
  const size = executable.readUInt16LE(E_PHENTSIZE);
  return Array.from({ length: executable.readUInt16LE(E_PHNUM) }, (_, i) => at + i * size)
    .filter((header) => {
      const flags = executable.readUInt32LE(header + 4);
      const isCode = (flags & PF_X) !== 0 && (flags & PF_W) === 0;
      return executable.readUInt32LE(header) === PT_LOAD && isCode;
    })
    .map((header) => ({
      offset: Number(executable.readBigUInt64LE(header + 8)),
      address: Number(executable.readBigUInt64LE(header + 16)),
      bytes: Number(executable.readBigUInt64LE(header + 32)),
    }));
}

/** A kernel's code is what its file says: User Mode Linux changes none of it while it runs. */
function removeBreakpoints(pid: number, executable: string): number {
  const file = readFileSync(executable);
  let removed = 0;
  let memory: number;
  try {
    memory = openSync(`/proc/${pid}/mem`, "r+");
  } catch {
    return 0; // gone meanwhile
  }
  try {
    for (const { offset, address, bytes } of codeOf(file)) {
      const now = Buffer.alloc(bytes);
      readSync(memory, now, 0, bytes, address);
      for (const at of breakpointsIn(now, file.subarray(offset, offset + bytes))) {
        writeSync(memory, file, offset + at, 1, address + at);
        removed++;
      }
    }
  } catch {
    // it ended meanwhile
  } finally {
    closeSync(memory);
  }
  return removed;
}

/** Offsets where the code in memory has a breakpoint and the file has none. */
export function breakpointsIn(memory: Buffer, file: Buffer): number[] {
  if (memory.equals(file)) return [];
  const found: number[] = [];
  for (let at = memory.indexOf(BREAKPOINT); at >= 0; at = memory.indexOf(BREAKPOINT, at + 1)) {
    if (file[at] !== BREAKPOINT) found.push(at);
  }
  return found;
}
