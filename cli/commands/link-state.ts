/** `link up LINK`, `link down LINK`: the cable in or out. */

import { optionValue, type RunCommand } from "../command.ts";
import { printResult } from "../context.ts";
import { findLab } from "../targets.ts";

export function commandFor(up: boolean): { readonly run: RunCommand } {
  return {
    run: async (context, words) => {
      const link = words.args[0] as string;
      await using lab = await findLab(context, optionValue(words, "lab"));
      await lab.setLink(link, { up });
      await printResult(context, { lab: lab.name, link, up }, () => {
        return `${link}: ${up ? "up" : "down"}\n`;
      });
      return 0;
    },
  };
}
