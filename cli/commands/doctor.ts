/** `doctor`: what this machine has and lacks; status 3 where something required is missing. */

import { type Context, printResult } from "../context.ts";
import type { Finding } from "../engine.ts";
import { count, padEnd, type Style, widthOf } from "../render/style.ts";

const LACKS_STATUS = 3;

export async function run(context: Context): Promise<number> {
  const findings = await context.engine.examineMachine();
  const lacks = findings.filter((finding) => !finding.ok && finding.level === "required");
  const ok = lacks.length === 0;
  await printResult(context, { ok, findings }, () => text(findings, context.stdout.style));
  return ok ? 0 : LACKS_STATUS;
}

function text(findings: readonly Finding[], style: Style): string {
  const { marks } = style;
  const width = Math.max(0, ...findings.map((finding) => widthOf(finding.name)));
  const lines = findings.flatMap((finding) => {
    const mark = finding.ok
      ? style.green(marks.good)
      : finding.level === "required"
        ? style.red(marks.bad)
        : finding.level === "recommended"
          ? style.yellow(marks.warn)
          : style.dim(marks.none);
    const level =
      finding.ok || finding.level === "required" ? "" : style.dim(` (${finding.level})`);
    const line = `${mark} ${style.bold(padEnd(finding.name, width))}  ${finding.found}${level}`;
    if (finding.ok || finding.mend === null) return [line];
    return [line, `  ${" ".repeat(width)}  ${style.cyan(finding.mend)}`];
  });
  const missing = (level: Finding["level"]) =>
    findings.filter((finding) => !finding.ok && finding.level === level).length;
  const required = missing("required");
  const verdict =
    required > 0
      ? style.red(
          `${count(required, "thing")} that labs need ${required === 1 ? "is" : "are"} missing`,
        )
      : missing("recommended") > 0
        ? `labs run here; ${count(missing("recommended"), "thing")} would make them better`
        : style.green("labs run here");
  return `${[...lines, "", verdict].join("\n")}\n`;
}
