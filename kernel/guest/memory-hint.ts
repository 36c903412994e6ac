/** A guest with less memory than its image needs fails in ways that don't tell so. Pure. */

import { LabError } from "../../base/errors.ts";
import { formatMemory } from "../../base/units.ts";
import type { GuestSpec } from "./spec.ts";

type Guest = Pick<GuestSpec, "name" | "image" | "memoryBytes">;

/** `image router needs at least 64 MiB, and r1 has 32 MiB`; undefined where it has enough. */
function tooLittle({ name, image, memoryBytes }: Guest): string | undefined {
  const { reference, minimumMemoryBytes } = image;
  if (memoryBytes >= minimumMemoryBytes) return undefined;
  const least = formatMemory(minimumMemoryBytes);
  return `image ${reference} needs at least ${least}, and ${name} has ${formatMemory(memoryBytes)}`;
}

/** What a guest failed with, with the memory in its hint where that may be why. */
export function withMemoryHint(error: unknown, guest: Guest): unknown {
  if (!(error instanceof LabError)) return error;
  const { code, message, cause, hint } = error;
  const why = tooLittle(guest);
  if (why === undefined || (code !== "GUEST_BOOT" && code !== "GUEST_SETUP")) return error;
  return new LabError(code, message, { cause, hint: hint === undefined ? why : `${why}; ${hint}` });
}
