/** `ps`: the labs that run, and those that crashed. */

import { formatDurationNs } from "../../base/units.ts";
import { type Context, printResult } from "../context.ts";
import { shorten } from "../render/errors.ts";
import { table } from "../render/table.ts";

export async function run(context: Context): Promise<number> {
  const labs = await context.engine.listLabs();
  await printResult(context, { labs }, () => {
    if (labs.length === 0) return "no lab is running; start one: uml-lab up FILE\n";
    const { style } = context.stdout;
    const rows = labs.map((lab) => [
      lab.name,
      lab.state === "running"
        ? style.green(lab.state)
        : lab.state === "crashed"
          ? style.red(lab.state)
          : style.yellow(lab.state),
      String(lab.guests),
      formatDurationNs(Math.max(0, context.now() - Date.parse(lab.since)) * 1e6),
      lab.pid === null ? style.marks.none : String(lab.pid),
      shorten(lab.file, process.cwd()),
    ]);
    const crashed = labs.filter((lab) => lab.state === "crashed");
    const notes = crashed.map(
      (lab) =>
        `${style.red(style.marks.bad)} ${lab.name} crashed: ${lab.problem ?? "its supervisor is gone"}; ` +
        "`uml-lab clean` removes what it left\n",
    );
    return (
      table(
        [
          { heading: "lab" },
          { heading: "state" },
          { heading: "guests", align: "right" },
          { heading: "for", align: "right" },
          { heading: "pid", align: "right" },
          { heading: "file" },
        ],
        rows,
        style,
      ) + notes.join("")
    );
  });
  return 0;
}
