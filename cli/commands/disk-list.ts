/** `disk list`: the disks that labs have kept. */

import { formatBytes, formatMemory } from "../../base/units.ts";
import { type Context, printResult } from "../context.ts";
import { table } from "../render/table.ts";

export async function run(context: Context): Promise<number> {
  const disks = await context.engine.listDisks();
  await printResult(context, { disks }, () => {
    if (disks.length === 0) return "no disks are kept; `uml-lab up FILE --keep` keeps them\n";
    return table(
      [
        { heading: "lab" },
        { heading: "guest" },
        { heading: "size", align: "right" },
        { heading: "takes", align: "right" },
        { heading: "image" },
        { heading: "used" },
        { heading: "topology" },
      ],
      disks.flatMap(({ lab, file, usedAt, inUse, disks: all }) =>
        all.map(({ guest, bytes, usedBytes, image }) => [
          lab,
          guest,
          formatMemory(bytes),
          formatBytes(usedBytes),
          image,
          inUse ? "now" : usedAt.slice(0, 16).replace("T", " "),
          file,
        ]),
      ),
      context.stdout.style,
    );
  });
  return 0;
}
