/** `inspect GUEST`: a guest from inside and outside. */

import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { inspectionText } from "../render/inspection.ts";
import { findGuest } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const { lab, guest } = await findGuest(context, words);
  await using _lab = lab;
  const inspection = await lab.inspect(guest);
  const { stdout, verbose } = context;
  await printResult(context, inspection, () =>
    inspectionText(inspection, { columns: stdout.columns(), style: stdout.style, verbose }),
  );
  return 0;
}
