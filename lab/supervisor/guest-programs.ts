/**
 * Small static programs of ours (`kernel/agent/*.c`) in guests: put there when they are first needed,
 * so that probes and measurements work whatever a guest's image holds.
 */

import { readFile } from "node:fs/promises";
import type { IpAddress } from "../../base/addresses.ts";
import { ensureProgram, type Program } from "../../kernel/agent/build.ts";
import type { RunningGuest } from "../../kernel/guest/spec.ts";

/** By guest, then by program: a guest that boots again is another. */
const equipped = new WeakMap<RunningGuest, Map<Program, Promise<string>>>();

/** The program's path in the guest, where it is from now on. */
export function equip(guest: RunningGuest, program: Program): Promise<string> {
  const programs = equipped.get(guest) ?? new Map<Program, Promise<string>>();
  equipped.set(guest, programs);
  const known = programs.get(program);
  if (known !== undefined) return known;
  const path = `/run/uml-lab/${program}`;
  const work = (async () => {
    await guest.writeFile(path, await readFile(await ensureProgram(program)), 0o755);
    return path;
  })();
  programs.set(program, work);
  // one that failed may work later
  work.catch(() => programs.delete(program));
  return work;
}

/** An address as the programs take it: its bytes in hexadecimal. */
export function hexOf(address: IpAddress): string {
  return address.value.toString(16).padStart(address.family === 4 ? 8 : 32, "0");
}
