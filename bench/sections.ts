/** The sections of the bench, in the order they are run. */

import { measureCore, renderCore } from "./core.ts";
import { measureGrading, renderGrading } from "./grading.ts";
import { measureKernels, renderKernels } from "./kernels/kernels.ts";
import { measureLabs, renderLabs } from "./labs.ts";
import { measureScale, renderScale } from "./scale.ts";
import { compareTransports, renderComparison } from "./transports/compare.ts";

export interface SectionOptions {
  readonly quick: boolean;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface Section {
  readonly name: string;
  readonly title: string;
  readonly run: (options: SectionOptions) => Promise<{ text: string; data: unknown }>;
}

export const sections: readonly Section[] = [
  {
    name: "core",
    title: "The fabric's core alone, beside the same walk in C",
    async run(options) {
      const data = await measureCore(options);
      return { text: renderCore(data), data };
    },
  },
  {
    name: "transports",
    title: "End to end between two guests, beside vde_switch and uml_switch",
    async run({ quick, signal, log }) {
      const data = await compareTransports({
        seconds: quick ? 1 : 3,
        rounds: quick ? 1 : 3,
        signal,
        log,
      });
      return { text: renderComparison(data), data };
    },
  },
  {
    name: "labs",
    title: "From the command to the verdict, beside Mininet",
    async run(options) {
      const data = await measureLabs(options);
      return { text: renderLabs(data), data };
    },
  },
  {
    name: "kernels",
    title: "Kernels: starting, system calls, memory; images: starting",
    async run(options) {
      const data = await measureKernels(options);
      return { text: renderKernels(data), data };
    },
  },
  {
    name: "grading",
    title: "Thirty submissions of one assignment, some wrong, broken, endless or hostile",
    async run(options) {
      const data = await measureGrading(options);
      return { text: renderGrading(data), data };
    },
  },
  {
    name: "scale",
    title: "Labs of hundreds of guests",
    async run(options) {
      const data = await measureScale(options);
      return { text: renderScale(data), data };
    },
  },
];
