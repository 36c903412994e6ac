/** `image list`: the root file systems at hand. */

import { statSync } from "node:fs";
import { formatBytes, formatMemory } from "../../base/units.ts";
import { type Context, printResult } from "../context.ts";
import { table } from "../render/table.ts";

export async function run(context: Context): Promise<number> {
  const images = await context.engine.listImages();
  await printResult(context, { images }, () => {
    if (images.length === 0) return "no image is at hand; `uml-lab up` makes those it needs\n";
    const size = (file: string) => statSync(file, { throwIfNoEntry: false })?.size;
    return table(
      [
        { heading: "image" },
        { heading: "id" },
        { heading: "size", align: "right" },
        { heading: "memory", align: "right" },
        { heading: "file" },
      ],
      images.map((image) => {
        const bytes = size(image.file);
        return [
          image.reference,
          image.id,
          bytes === undefined ? "gone" : formatBytes(bytes),
          formatMemory(image.defaultMemoryBytes),
          image.file,
        ];
      }),
      context.stdout.style,
    );
  });
  return 0;
}
