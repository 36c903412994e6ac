/** What a plan's guests are made of: kernels, images and programs, fetched or made where they lack. */

import { LabError } from "../base/errors.ts";
import { formatMemory } from "../base/units.ts";
import type { Image, Kernel } from "../kernel/guest/spec.ts";
import type { EnsureOptions } from "../kernel/progress.ts";
import type { OnLabEvent, UpOptions } from "./api.ts";
import type { LabPlan } from "./plan/plan.ts";

/** What is to become of guests' disks; only where a guest has one. */
export interface DisksWish {
  readonly keep: boolean;
  readonly fresh: boolean;
  /** A save to begin from; absolute. */
  readonly resume?: string;
  /** The program that formats. */
  readonly mke2fs: string;
}

/** What guests are made of. */
export interface Parts {
  /** By the words the topology uses. */
  readonly kernels: Readonly<Record<string, Kernel>>;
  readonly images: Readonly<Record<string, Image>>;
  /** The passt program, where guests have ways out. */
  readonly passt?: string | undefined;
  readonly disks?: DisksWish | undefined;
}

interface Caller {
  readonly signal: AbortSignal;
  readonly onEvent: OnLabEvent;
}

/** How kernels, images and tools are seen to for a command. */
export const ensuring = ({ signal, onEvent }: Caller): EnsureOptions => ({
  signal,
  onProgress: (progress) => onEvent({ type: "progress", ...progress }),
});

type Wishes = Pick<UpOptions, "keep" | "fresh" | "resume">;

/** Throws what kernels, images and tools throw, and USAGE where disks are asked for that no guest has. */
export async function ensureParts(
  plan: LabPlan,
  { signal, onEvent, ...wishes }: Wishes & Caller,
): Promise<Parts> {
  const options = ensuring({ signal, onEvent });
  const [{ ensureKernel }, { ensureImage }] = await Promise.all([
    import("../kernel/kernels.ts"),
    import("../kernel/images.ts"),
  ]);
  const all = async <T>(names: Iterable<string>, ensure: (name: string) => Promise<T>) =>
    Object.fromEntries(
      await Promise.all([...new Set(names)].map(async (name) => [name, await ensure(name)])),
    ) as Record<string, T>;
  const [kernels, images, passt, disks] = await Promise.all([
    all(
      plan.guests.map(({ kernel }) => kernel),
      (choice) => ensureKernel(choice, options),
    ),
    all(
      plan.guests.map(({ image }) => image),
      (reference) => ensureImage(reference, options),
    ),
    plan.guests.some(({ outlet }) => outlet !== null)
      ? import("../kernel/tools.ts").then(({ ensureTool }) => ensureTool("passt", options))
      : undefined,
    disksWish(plan, wishes, options),
  ]);
  for (const message of memoryNotices(plan, images)) onEvent({ type: "notice", message });
  return { kernels, images, passt, disks };
}

/** Guests that may fail for it, or run short of memory later; one line an image. */
export function memoryNotices(
  { guests }: Pick<LabPlan, "guests">,
  images: Parts["images"],
): string[] {
  return Object.entries(images).flatMap(([reference, image]) => {
    const short = guests.filter(
      (guest) =>
        guest.image === reference &&
        guest.memoryBytes !== undefined &&
        guest.memoryBytes < image.minimumMemoryBytes,
    );
    if (short.length === 0) return [];
    const names = short.slice(0, 3).map(({ name }) => name);
    if (short.length > names.length) names.push(`${short.length - names.length} more`);
    const least = formatMemory(image.minimumMemoryBytes);
    return [`${names.join(", ")}: less memory than image ${reference} needs, which is ${least}`];
  });
}

/** What the command asked for guests' disks. Throws USAGE where there is nothing to ask it for. */
async function disksWish(
  { guests, file }: LabPlan,
  { keep = false, fresh = false, resume }: Wishes,
  options: EnsureOptions,
): Promise<DisksWish | undefined> {
  if (guests.every(({ diskBytes }) => diskBytes === undefined)) {
    if (!keep && !fresh && resume === undefined) return undefined;
    const asked = keep ? "--keep" : fresh ? "--fresh" : "--resume";
    throw new LabError("USAGE", `${asked}: no guest of ${file} has a disk`, {
      hint: "give a guest one: `disk: 1G`",
    });
  }
  const { ensureTool } = await import("../kernel/tools.ts");
  const mke2fs = await ensureTool("mke2fs", options);
  return { keep, fresh, mke2fs, ...(resume === undefined ? {} : { resume }) };
}
