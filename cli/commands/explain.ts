/** `explain FROM TO`: the way of a probe there and back, and why it got no further. */

import { LabError } from "../../base/errors.ts";
import type { ExplainRequest } from "../../lab/api.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
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
    const value = optionValue(words, kind);
    return value === undefined ? [] : [{ kind, port: portOf(kind, value) }];
  });
  if (given.length > 1) {
    throw new LabError("USAGE", "--tcp and --udp do not go together", {
      hint: "one probe at a time",
    });
  }
  return given[0] ?? { kind: "icmp" };
}

function portOf(kind: string, value: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new LabError("USAGE", `--${kind} ${value}: this is no port`, { hint: "1 to 65535" });
}
