/**
 * Whether a kernel really runs here: boots it with an initramfs of one program that says a word and
 * powers off. That a kernel prints its version tells nothing: Debian's 6.1 and 6.12 panic at their
 * first process on processors whose register state is larger than they know (AMX), and where ptrace
 * or seccomp is forbidden none boots.
 */

import { LabError } from "../base/errors.ts";
import { bootBriefly } from "./brief-boot.ts";
import type { Kernel } from "./guest/spec.ts";
import { makeCpio } from "./initramfs/cpio.ts";

const WORD = "a process ran\n";

export interface BootCheckInput {
  readonly executable: string;
  readonly bootArguments: readonly string[];
  readonly features: Kernel["features"];
  /** A private folder for what the kernel and we put down. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The features that hold here: seccomp is taken away where the kernel boots without it only.
 * Throws NO_KERNEL with the end of what it printed where it doesn't boot at all.
 */
export async function checkBoot(input: BootCheckInput): Promise<Kernel["features"]> {
  const { features, signal } = input;
  const fast = features.seccomp && (await boot(input, ["seccomp=on"])) === undefined;
  if (fast) return features;
  signal?.throwIfAborted();
  const complaint = await boot(input, []);
  signal?.throwIfAborted();
  if (complaint === undefined) return { ...features, seccomp: false };
  throw new LabError("NO_KERNEL", `the kernel does not boot on this machine: ${complaint}`, {
    hint: "uml-lab doctor",
  });
}

/** Undefined if it booted, else what it said last. */
async function boot(input: BootCheckInput, more: readonly string[]): Promise<string | undefined> {
  const { said, tooLong } = await bootBriefly({
    ...input,
    initramfs: checkInitramfs(),
    arguments: [...input.bootArguments, ...more],
  });
  if (said.includes(WORD.trim())) return undefined;
  if (tooLong) return "nothing happened for a while";
  const lines = said.split(/\r?\n/).filter((line) => line.trim() !== "" && !/^ \[</.test(line));
  return lines.find((line) => /panic/i.test(line)) ?? lines.at(-1) ?? "it said nothing";
}

/** The initramfs: a console and `/init`. */
export function checkInitramfs(): Buffer {
  return makeCpio([
    { path: "dev", type: "folder", mode: 0o755 },
    { path: "dev/console", type: "character device", mode: 0o600, major: 5, minor: 1 },
    { path: "init", type: "file", mode: 0o755, content: tinyProgram(WORD) },
  ]);
}

/** A static x86-64 executable: write(1, word), then reboot(POWER_OFF). elf(5), reboot(2). */
function tinyProgram(word: string): Buffer {
  const HEADERS = 64 + 56;
  const BASE = 0x400000;
  const code = Buffer.from(
    [
      "b801000000", // mov eax, 1 (write)
      "bf01000000", // mov edi, 1
      "488d351f000000", // lea rsi, [rip + 31]: what follows the code
      `ba${word.length.toString(16).padStart(2, "0")}000000`, // mov edx, length
      "0f05", // syscall
      "b8a9000000", // mov eax, 169 (reboot)
      "bfaddee1fe", // mov edi, LINUX_REBOOT_MAGIC1
      "be69191228", // mov esi, LINUX_REBOOT_MAGIC2
      "badcfe2143", // mov edx, LINUX_REBOOT_CMD_POWER_OFF
      "0f05", // syscall
      "ebfe", // jmp .
    ].join(""),
    "hex",
  );
  const size = HEADERS + code.length + word.length;
  const elf = Buffer.alloc(HEADERS);
  elf.write("7f454c46020101", 0, "hex");
  elf.writeUInt16LE(2, 0x10); // ET_EXEC
  elf.writeUInt16LE(62, 0x12); // EM_X86_64
  elf.writeUInt32LE(1, 0x14); // version
  elf.writeBigUInt64LE(BigInt(BASE + HEADERS), 0x18); // entry
  elf.writeBigUInt64LE(64n, 0x20); // program headers
  elf.writeUInt16LE(64, 0x34);
  elf.writeUInt16LE(56, 0x36);
  elf.writeUInt16LE(1, 0x38);
  elf.writeUInt32LE(1, 64); // PT_LOAD
  elf.writeUInt32LE(5, 68); // readable, executable
  elf.writeBigUInt64LE(BigInt(BASE), 80); // virtual address
  elf.writeBigUInt64LE(BigInt(BASE), 88); // physical address
  elf.writeBigUInt64LE(BigInt(size), 96); // in the file
  elf.writeBigUInt64LE(BigInt(size), 104); // in memory
  elf.writeBigUInt64LE(0x1000n, 112); // alignment
  return Buffer.concat([elf, code, Buffer.from(word)]);
}
