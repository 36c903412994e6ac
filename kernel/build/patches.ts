/**
 * Our changes to a kernel's sources: `patches/*.patch`, each with its reason on top, and
 * `Gives: tickless` where guests depend on it. One that does not fit a release is left out, and the
 * kernel's manifest tells which are in.
 */

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "../../base/errors.ts";
import { packageRoot } from "../../base/package-root.ts";
import { type Place, thisMachine } from "../packages/place.ts";

export interface Patch {
  /** `0001-um-see-noted-signals-before-sleeping`. */
  readonly name: string;
  readonly text: string;
}

export function ourPatches(): readonly Patch[] {
  const folder = join(packageRoot, "kernel/build/patches");
  return readdirSync(folder)
    .filter((file) => file.endsWith(".patch"))
    .sort()
    .map((file) => ({
      name: file.slice(0, -".patch".length),
      text: readFileSync(join(folder, file), "utf8"),
    }));
}

/** What guests may rely on where these are in. */
export function givenBy(patches: readonly Patch[]): ReadonlySet<string> {
  return new Set(
    patches.flatMap(({ text }) => [...text.matchAll(/^Gives: (.*)$/gm)].map((found) => found[1]!)),
  );
}

/** The part that changes the code: rewording a reason makes no other kernel. */
export function changesOf({ text }: Patch): string {
  return text.slice(text.search(/^diff /m));
}

interface PatchOptions {
  /** The program, and where it runs. */
  readonly patch: string;
  readonly place?: Place;
  /** An existing folder for a file of ours, which the place sees. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

/** Applies those that fit, and answers them. Throws BUILD_FAILED where one stops halfway. */
export async function applyPatches(
  tree: string,
  patches: readonly Patch[],
  options: PatchOptions,
): Promise<readonly Patch[]> {
  const applied: Patch[] = [];
  for (const patch of patches) {
    if (!(await fits(tree, patch, ["--forward"], options))) continue;
    const { code, stdout } = await patchTree(tree, patch, ["--forward"], options);
    if (code !== 0) {
      throw new LabError("BUILD_FAILED", `${patch.name} could not be applied:\n  ${stdout.trim()}`);
    }
    applied.push(patch);
  }
  return applied;
}

/** Those that a tree has already; it is only read. */
export async function patchesIn(
  tree: string,
  patches: readonly Patch[],
  options: PatchOptions,
): Promise<readonly Patch[]> {
  const there: Patch[] = [];
  for (const patch of patches) {
    if (await fits(tree, patch, ["--reverse"], options)) there.push(patch);
  }
  return there;
}

async function fits(tree: string, patch: Patch, how: string[], options: PatchOptions) {
  const { code } = await patchTree(tree, patch, [...how, "--dry-run"], options);
  return code === 0;
}

async function patchTree(
  tree: string,
  { text }: Patch,
  how: readonly string[],
  { patch, place = thisMachine, scratch, signal }: PatchOptions,
) {
  const file = join(scratch, "ours.patch");
  writeFileSync(file, text);
  try {
    const command = [patch, "-p1", "--force", "--no-backup-if-mismatch", ...how];
    return await place.run([...command, "-d", tree, "-i", file], { signal });
  } finally {
    rmSync(file, { force: true });
  }
}
