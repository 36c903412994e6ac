/** Calls `uml-lab` as a user does, and reads what it answers. */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "../base/package-root.ts";

const COMMAND = join(packageRoot, "bin/uml-lab.js");

export interface CommandOptions {
  readonly signal: AbortSignal;
  readonly input?: Uint8Array;
}

/** Its JSON document. Throws where it ends with neither 0 nor 1. */
export async function askUmlLab(
  argv: readonly string[],
  options: CommandOptions,
): Promise<unknown> {
  const [verb = "", ...rest] = argv;
  const { code, stdout, stderr } = await umlLab([verb, "--format", "json", ...rest], options);
  if (code !== 0 && code !== 1) {
    throw new Error(`uml-lab ${argv.join(" ")} ended with ${code}: ${stderr || stdout}`);
  }
  return stdout.trim() === "" ? null : JSON.parse(stdout);
}

/** What a command in a guest prints. Throws where it fails. */
export async function runInGuest(
  guest: string,
  command: readonly string[],
  options: CommandOptions,
): Promise<string> {
  const { code, stdout, stderr } = await umlLab(["exec", guest, "--", ...command], options);
  if (code !== 0) throw new Error(`${command.join(" ")} on ${guest}: ${stderr || stdout}`);
  return stdout;
}

/** Puts a program into a guest. */
export async function giveProgram(
  guest: string,
  path: string,
  program: Uint8Array,
  options: CommandOptions,
): Promise<void> {
  const command = ["sh", "-c", `cat > ${path} && chmod +x ${path}`];
  await runInGuest(guest, command, { ...options, input: program });
}

function umlLab(argv: readonly string[], { signal, input }: CommandOptions) {
  const child = spawn(process.execPath, [COMMAND, ...argv], {
    stdio: ["pipe", "pipe", "pipe"],
    signal,
  });
  child.stdin.on("error", () => {}); // told by the exit status
  child.stdin.end(input);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr = (stderr + chunk).slice(-2000);
  });
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}
