/**
 * The time line for a terminal: flows as bars of what arrived, changes as numbers under them.
 *
 *                          0 s          10 s         20 s
 *     ping alice -> bob    ████████████▁    ▁████████████   981 of 1000 arrived, dark for 190 ms
 *     events                           1    2
 */

import { formatDurationNs } from "../../base/units.ts";
import type { FlowResult, Timeline, TimelineEvent } from "../../lab/api.ts";
import { padEnd, type Style, widthOf, wrap } from "./style.ts";

const NARROWEST = 20;
const WIDEST = 72;
const OUTPUT_LINES = 6;

export function timelineText(
  timeline: Timeline | null,
  { columns, style, verbose }: { columns: number; style: Style; verbose: boolean },
): string {
  if (timeline === null) return "";
  const labels = ["events", ...timeline.flows.map(({ name }) => name)];
  const label = Math.min(28, Math.max(...labels.map(widthOf)));
  const width = Math.max(NARROWEST, Math.min(WIDEST, columns - label - 6));
  const lines = [style.bold("Time line"), ""];
  lines.push(`  ${padEnd("", label)}  ${style.dim(axis(timeline.lengthMs, width))}`);
  for (const flow of timeline.flows) {
    lines.push(`  ${padEnd(flow.name, label)}  ${bar(flow, timeline.lengthMs, width, style)}`);
  }
  const shown = timeline.events.filter(({ kind }) => kind !== "flow");
  const numbers = marks(shown, timeline.lengthMs, width);
  for (const [i, row] of numbers.entries()) {
    lines.push(`  ${padEnd(i === 0 ? "events" : "", label)}  ${row.trimEnd()}`);
  }
  lines.push("");
  for (const event of timeline.events) {
    lines.push(...eventLines(event, shown.indexOf(event) + 1, { columns, style, verbose }));
  }
  return `${lines.join("\n")}\n`;
}

export const clockText = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

function eventLines(
  event: TimelineEvent,
  number: number,
  { columns, style, verbose }: { columns: number; style: Style; verbose: boolean },
): string[] {
  const { name, atMs, ok, points, of, found, why, kind } = event;
  const mark = ok ? style.green(style.marks.good) : style.red(style.bold(style.marks.bad));
  const counted = of > 0 ? `  ${points}/${of} points` : "";
  const label = number > 0 ? String(number).padStart(2) : "  ";
  const lines = [`  ${mark} ${label} ${clockText(atMs).padStart(7)}  ${name}${counted}`];
  if (kind === "run") {
    if (!ok) {
      const { exit = null } = event;
      lines.push(
        `      ${exit === null ? "it did not end in time" : `it ended with status ${exit}`}`,
      );
    }
    const output = found.trimEnd().split("\n");
    const most = verbose ? output.length : OUTPUT_LINES;
    if (found.trim() !== "") {
      for (const line of output.slice(-most)) lines.push(style.dim(`      ${line}`));
    }
    return lines;
  }
  const text = why ?? found;
  if (text !== "")
    lines.push(ok ? style.dim(wrap(text, columns, "      ")) : wrap(text, columns, "      "));
  return lines;
}

/** Times that fit, at even distances. */
function axis(lengthMs: number, width: number): string {
  const stepMs = niceStep(lengthMs, Math.max(1, Math.floor(width / 12)));
  let text = "";
  for (let at = 0; at <= lengthMs; at += stepMs) {
    const column = Math.round((at / lengthMs) * (width - 1));
    const word = formatDurationNs(at * 1e6)
      .replace(/^0 ns$/, "0 s")
      .replace(/\.0 s$/, " s");
    if (column + word.length > width) break;
    text = padEnd(text, column) + word;
  }
  return text;
}

export function niceStep(lengthMs: number, steps: number): number {
  const rough = Math.max(1, lengthMs / steps);
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 5, 10].find((one) => one * power >= rough) as number) * power;
}

/** What arrived, in as many columns: full where it was as much as at its best. */
function bar(flow: FlowResult, lengthMs: number, width: number, style: Style): string {
  const { levels } = style.marks;
  const { sliceMs, slices, startedMs, endedMs } = flow;
  const most = bestOf(slices);
  let text = "";
  for (let column = 0; column < width; column++) {
    const fromMs = (column / width) * lengthMs;
    const toMs = ((column + 1) / width) * lengthMs;
    if (toMs <= startedMs || fromMs >= endedMs) {
      text += " ";
      continue;
    }
    const first = Math.max(0, Math.floor((fromMs - startedMs) / sliceMs));
    const last = Math.max(first + 1, Math.ceil((toMs - startedMs) / sliceMs));
    const part = slices.slice(first, last);
    const mean = part.reduce((sum, n) => sum + n, 0) / Math.max(1, part.length);
    const level = mean === 0 ? 0 : Math.max(1, Math.round((mean / most) * (levels.length - 1)));
    const mark = levels[Math.min(level, levels.length - 1)] as string;
    text += level === 0 ? style.red(mark) : style.green(mark);
  }
  return text.trimEnd();
}

/** What a slice holds where all is well: the median of those that hold anything. */
export function bestOf(slices: readonly number[]): number {
  const some = slices.filter((one) => one > 0).sort((a, b) => a - b);
  return Math.max(1, some[Math.floor(some.length / 2)] ?? 1);
}

/** Numbers of events at their times, in as many rows as it takes. */
function marks(events: readonly TimelineEvent[], lengthMs: number, width: number): string[] {
  const rows: string[] = [];
  for (const [i, { startedMs }] of events.entries()) {
    const number = String(i + 1);
    const column = Math.min(width - number.length, Math.floor((startedMs / lengthMs) * width));
    const row = rows.findIndex((text) => text.length < column || text === "");
    const at = row < 0 ? rows.push("") - 1 : row;
    rows[at] = (rows[at] as string).padEnd(column) + number;
  }
  return rows;
}
