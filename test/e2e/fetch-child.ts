/**
 * Run by fetch.test.ts as a process of its own: ensures each thing named (`kernel`, `image:base`,
 * `tool:tcc`, `kernel-configuration`, `kernel-build`) at once, prints a line `progress …` for each step and a line of JSON
 * at the end.
 */

import { LabError, messageOf } from "../../base/errors.ts";
import { buildKernel, configureKernel } from "../../kernel/build/build-kernel.ts";
import { ensureImage } from "../../kernel/images.ts";
import { ensureKernel } from "../../kernel/kernels.ts";
import type { EnsureOptions } from "../../kernel/progress.ts";
import { ensureTool, type ToolName } from "../../kernel/tools.ts";

const controller = new AbortController();
process.once("SIGTERM", () => controller.abort());

const steps = new Set<string>();
const options: EnsureOptions = {
  signal: controller.signal,
  onProgress: ({ what }) => {
    if (!steps.has(what)) console.log(`progress ${what}`);
    steps.add(what);
  },
};

function ensure(thing: string): Promise<unknown> {
  const [kind, name] = thing.split(/:(.*)/);
  if (kind === "kernel-configuration") return configureKernel(options);
  if (kind === "kernel-build") return buildKernel(options);
  if (kind === "kernel") return ensureKernel("debian", options);
  if (kind === "image") return ensureImage(name ?? "", options);
  return ensureTool(name as ToolName, options);
}

try {
  console.log(JSON.stringify({ made: await Promise.all(process.argv.slice(2).map(ensure)) }));
} catch (error) {
  const { code, hint } = error instanceof LabError ? error : { code: undefined, hint: undefined };
  console.log(JSON.stringify({ failed: { code, hint, message: messageOf(error) } }));
  process.exitCode = 1;
}
