/** `explain FROM TO`: the way of a probe there and back, and why it got no further. */

import { LabError } from "../../base/errors.ts";
import type { ExplainRequest } from "../../lab/api.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { countOption } from "../option-values.ts";
import { explanationText } from "../render/explanation.ts";
import { findGuests, splitGuest } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const [from, to] = words.args as [string, string];
  const probe = probeOf(words);
  // an address is no guest to look for: only FROM tells which lab is meant
  const { lab, guests } = await findGuests(context, words, [from]);
  await using _lab = lab;
  const explanation = await lab.explain(
    { from: guests[0] as string, to: splitGuest(to).guest, probe },
    { signal: context.signal },
  );
  const { stdout } = context;
  await printResult(context, explanation, () =>
    explanationText(explanation, { columns: stdout.columns(), style: stdout.style }),
  );
  return explanation.cause === null ? 0 : 1;
}

function probeOf(words: Words): ExplainRequest["probe"] {
  const given = (["tcp", "udp"] as const).flatMap((kind) => {
    const port = countOption(words, kind, 65_535);
    return port === undefined ? [] : [{ kind, port }];
  });
  if (given.length > 1) {
    throw new LabError("USAGE", "--tcp and --udp do not go together", {
      hint: "one probe at a time",
    });
  }
  return given[0] ?? { kind: "icmp" };
}
