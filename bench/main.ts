/**
 * `npm run bench`: what uml-lab does beside what its peers do, measured in the same run.
 *
 *     npm run bench                       every section
 *     npm run bench -- --only transports  one or more (comma-separated)
 *     npm run bench -- --quick            shorter, for a look
 *     npm run bench -- --format json      one JSON document on standard output
 *
 * Figures are medians; on a busy machine trust the ratios. Method: docs/benchmarks.md.
 */

import { parseArgs } from "node:util";
import { messageOf } from "../base/errors.ts";
import { type Section, sections } from "./sections.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    format: { type: "string", default: "text" },
  },
});

const wanted = values.only?.split(",") ?? sections.map(({ name }) => name);
const unknown = wanted.filter((name) => !sections.some((section) => section.name === name));
if (unknown.length > 0 || !["text", "json"].includes(values.format)) {
  const names = sections.map(({ name }) => name).join(", ");
  process.stderr.write(`bench: --only takes ${names}; --format takes text or json\n`);
  process.exit(2);
}

const controller = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => controller.abort(new Error(`ended by ${signal}`)));
}

const log = (line: string) => process.stderr.write(`bench: ${line}\n`);
const document: Record<string, unknown> = {};
let failed = false;

async function runSection({ name, title, run }: Section): Promise<void> {
  log(name);
  try {
    const { text, data } = await run({ quick: values.quick, signal: controller.signal, log });
    document[name] = data;
    if (values.format === "text") process.stdout.write(`\n${title}\n\n${text}\n`);
  } catch (error) {
    failed = true;
    document[name] = { error: messageOf(error) };
    if (values.format === "text")
      process.stdout.write(`\n${title}\n\nfailed: ${messageOf(error)}\n`);
    if (process.env.UML_LAB_DEBUG) console.error(error);
  }
}

for (const section of sections) {
  if (wanted.includes(section.name) && !controller.signal.aborted) await runSection(section);
}
if (values.format === "json") process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
process.exitCode = controller.signal.aborted ? 130 : failed ? 1 : 0;
