/**
 * What a larger image costs at boot once it is made: one guest with `base` and one with `router`, by
 * turns, so that a noisy moment meets both.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Kernel } from "../../kernel/guest/spec.ts";
import type { Report } from "../../lab/api.ts";
import { askUmlLab } from "../command.ts";
import type { SectionOptions } from "../sections.ts";
import { median, renderTable } from "../table.ts";

const IMAGES = ["base", "router"] as const;

export interface ImageResult {
  readonly kernel: string;
  readonly image: (typeof IMAGES)[number];
  /** From exec of the kernel to ready. */
  readonly readyMs: number;
  /** `up` of a lab of this one guest, from the command to the verdict. */
  readonly upMs: number;
}

/** @param choice the kernel as a topology has it */
export async function measureImages(
  choice: string,
  kernel: Kernel,
  folder: string,
  { quick, signal, log }: SectionOptions,
): Promise<ImageResult[]> {
  const readies = new Map(IMAGES.map((image) => [image, [] as number[]]));
  const ups = new Map(IMAGES.map((image) => [image, [] as number[]]));
  // the first round makes what isn't there, and fills the host's page cache
  for (let round = 0; round <= (quick ? 3 : 11); round++) {
    for (const image of IMAGES) {
      const file = join(folder, `${choice}-${image}.yaml`);
      writeFileSync(
        file,
        `name: bench-image\nkernel: ${choice}\nguests: { a: { image: ${image} } }\n`,
      );
      if (round === 0) log(`${choice}, image ${image}`);
      const start = performance.now();
      const report = (await askUmlLab(["up", file], { signal })) as Report;
      const upMs = performance.now() - start;
      await askUmlLab(["down", report.lab], { signal });
      if (round === 0) continue;
      ups.get(image)?.push(upMs);
      readies.get(image)?.push(report.guests[0]?.bootMs ?? Number.NaN);
    }
  }
  return IMAGES.map((image) => ({
    kernel: kernel.id,
    image,
    readyMs: median(readies.get(image) ?? []),
    upMs: median(ups.get(image) ?? []),
  }));
}

export function renderImages(results: readonly ImageResult[]): string {
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  const more = (value: number) => `${value < 0 ? "−" : "+"}${ms(Math.abs(value))}`;
  const rows = results.map((one) => {
    const base = results.find(({ kernel, image }) => kernel === one.kernel && image === "base");
    const beside = (key: "readyMs" | "upMs") =>
      base === undefined || base === one ? "" : more(one[key] - base[key]);
    const { kernel, image, readyMs, upMs } = one;
    return [kernel, image, ms(readyMs), beside("readyMs"), ms(upMs), beside("upMs")];
  });
  return renderTable(["kernel", "image", "guest ready", "", "up to verdict", ""], rows);
}
