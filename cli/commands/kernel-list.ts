/** `kernel list`: the kernels at hand. */

import { type Context, printResult } from "../context.ts";
import { table } from "../render/table.ts";

export async function run(context: Context): Promise<number> {
  const kernels = await context.engine.listKernels();
  await printResult(context, { kernels }, () => {
    if (kernels.length === 0) return "no kernel is at hand; fetch one: uml-lab kernel fetch\n";
    const { style } = context.stdout;
    const yes = (has: boolean) => (has ? style.marks.good : style.marks.none);
    const rows = table(
      ["kernel", "release", "seccomp", "virtual time", "no tick", "file"].map((heading) => ({
        heading,
      })),
      kernels.map((kernel) => [
        kernel.id,
        kernel.release,
        yes(kernel.features.seccomp),
        yes(kernel.features.timeTravel),
        yes(kernel.features.tickless ?? false),
        kernel.executable,
      ]),
      style,
    );
    const made = kernels
      .filter(({ madeFrom }) => madeFrom !== undefined)
      .map(({ id, madeFrom = [] }) => `\n${id} is made from\n  ${madeFrom.join("\n  ")}\n`);
    return rows + made.join("");
  });
  return 0;
}
