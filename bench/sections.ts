/** The sections of the bench, in the order they are run. */

import { measureLabs, renderLabs } from "./labs.ts";
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
];
