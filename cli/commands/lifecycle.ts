/** `restart`, `stop`, `start`, `pause`, `resume`: one guest or more. */

import type { OnLabEvent, RunningLab } from "../../lab/api.ts";
import type { RunCommand } from "../command.ts";
import { printResult } from "../context.ts";
import { findGuests } from "../targets.ts";

const VERBS = {
  restart: {
    past: "restarted",
    act: (lab: RunningLab, guests: readonly string[], onEvent: OnLabEvent) =>
      lab.restart(guests, onEvent),
  },
  stop: {
    past: "stopped",
    act: (lab: RunningLab, guests: readonly string[], onEvent: OnLabEvent) =>
      lab.stop(guests, onEvent),
  },
  start: {
    past: "started",
    act: (lab: RunningLab, guests: readonly string[], onEvent: OnLabEvent) =>
      lab.start(guests, onEvent),
  },
  pause: {
    past: "paused",
    act: (lab: RunningLab, guests: readonly string[]) => lab.pause(guests),
  },
  resume: {
    past: "resumed",
    act: (lab: RunningLab, guests: readonly string[]) => lab.resume(guests),
  },
} as const;

export function commandFor(verb: keyof typeof VERBS): { readonly run: RunCommand } {
  const { act, past } = VERBS[verb];
  return {
    run: async (context, words) => {
      const { lab, guests } = await findGuests(context, words, words.args);
      await using _lab = lab;
      using progress = await context.showProgress();
      await act(lab, guests, progress.onEvent);
      progress[Symbol.dispose]();
      await printResult(
        context,
        { lab: lab.name, [past]: guests },
        () => `${guests.join(", ")}: ${past}\n`,
      );
      return 0;
    },
  };
}
