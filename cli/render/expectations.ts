/** Expectations that are neither pairs nor commands, as lines of text and as a table of HTML. */

import type { ExpectationResult } from "../../lab/api.ts";
import { padEnd, type Style, widthOf, wrap } from "./style.ts";

export function expectationsText(
  all: readonly ExpectationResult[],
  { columns, style, verbose }: { columns: number; style: Style; verbose: boolean },
): string {
  if (all.length === 0) return "";
  const lines = [style.bold("Expectations"), ""];
  const width = Math.min(columns - 20, Math.max(...all.map(({ name }) => widthOf(name))));
  for (const { ok, name, points, of, found, why } of all) {
    const mark = ok ? style.green(style.marks.good) : style.red(style.bold(style.marks.bad));
    const counted = of > 0 ? `  ${points}/${of} points` : "";
    lines.push(`  ${mark} ${padEnd(name, width)}${counted}`);
    if (why !== null) lines.push(wrap(why, columns, "      "));
    else if (verbose) lines.push(style.dim(wrap(found, columns, "      ")));
  }
  return `${lines.join("\n")}\n`;
}

export function expectationsHtml(
  all: readonly ExpectationResult[],
  escaped: (text: string) => string,
): string {
  if (all.length === 0) return "";
  const rows = all.map(({ ok, name, found, points, of }) => {
    const mark = ok ? `<td class="good">✔</td>` : `<td class="bad">✘</td>`;
    return `<tr>${mark}<td>${escaped(name)}</td><td>${escaped(found)}</td><td>${points}/${of}</td></tr>`;
  });
  return `<h2>Expectations</h2>
<div class="scroll"><table class="list">
<thead><tr><th></th><th>expected</th><th>found</th><th>points</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>
`;
}
