/** `image show IMAGE`: what it is made of. */

import { formatBytes, formatMemory } from "../../base/units.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { fromHere } from "./image-build.ts";
import { noSuchImage } from "./image-remove.ts";

export async function run(context: Context, words: Words): Promise<number> {
  const name = fromHere(words.args[0] as string);
  const images = await context.engine.listImages();
  const found = images.filter(({ id, reference }) => id === name || reference === name);
  if (found.length === 0) throw noSuchImage(name);
  await printResult(context, { images: found }, () => found.map(describe).join("\n"));
  return 0;
}

type Shown = Awaited<ReturnType<Context["engine"]["listImages"]>>[number];

function describe({
  id,
  reference,
  file,
  bytes,
  madeAt,
  packages,
  process,
  ...image
}: Shown): string {
  const lines = [
    `${reference} (${id})`,
    `  file     ${file}`,
    `  size     ${formatBytes(bytes)}, ${image.fileSystem}`,
    `  memory   ${formatMemory(image.defaultMemoryBytes)}, at least ${formatMemory(image.minimumMemoryBytes)}`,
    `  made     ${madeAt}`,
  ];
  if (process !== undefined) {
    lines.push(`  command  ${process.command.join(" ") || "none"}`, `  folder   ${process.cwd}`);
    for (const [key, value] of Object.entries(process.env))
      lines.push(`  env      ${key}=${value}`);
  }
  if (packages.length > 0) {
    lines.push(`  packages ${packages.length}`, ...packages.map((each) => `    ${each}`));
  }
  return `${lines.join("\n")}\n`;
}
