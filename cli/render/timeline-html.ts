/** The time line as a picture (SVG) and a table, for the page of a report. */

import { formatDurationNs } from "../../base/units.ts";
import type { FlowResult, Timeline, TimelineEvent } from "../../lab/api.ts";
import { flowText } from "../../lab/judge/flows.ts";
import { bestOf, clockText, niceStep } from "./timeline-text.ts";

type Escape = (text: string) => string;

const WIDTH = 1000;
const LEFT = 190;
const RIGHT = 20;
const TOP = 34;
const ROW = 46;
const BAR = 30;

export const TIMELINE_CSS = `
svg.timeline { width: 100%; height: auto; font: 13px system-ui, "Liberation Sans", sans-serif; }
svg.timeline text { fill: var(--ink); } svg.timeline .tick { fill: var(--dim); font-size: 12px; }
svg.timeline .grid { stroke: var(--line); } svg.timeline .flow { fill: var(--good); opacity: .75; }
svg.timeline .bed { fill: var(--soft); } svg.timeline .dark { fill: var(--bad); opacity: .3; }
svg.timeline .event { stroke: var(--ink); stroke-dasharray: 3 3; opacity: .6; }
svg.timeline .badge { fill: var(--good); } svg.timeline .badge.bad { fill: var(--bad); }
svg.timeline .number { fill: var(--paper); font-weight: 700; font-size: 11px; text-anchor: middle; }
`;

export function timelineHtml(timeline: Timeline | null, escaped: Escape): string {
  if (timeline === null) return "";
  const numbered = timeline.events.filter(({ kind }) => kind !== "flow");
  const rows = timeline.events.map((event) =>
    eventRow(event, numbered.indexOf(event) + 1, escaped),
  );
  return `<h2>Time line</h2>
${timelineSvg(timeline, numbered, escaped)}
<div class="scroll"><table class="list">
<thead><tr><th></th><th></th><th>at</th><th>event</th><th>found</th><th>points</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>
`;
}

function eventRow(event: TimelineEvent, number: number, escaped: Escape): string {
  const { ok, atMs, name, found, points, of, kind } = event;
  const mark = ok ? `<td class="good">✔</td>` : `<td class="bad">✘</td>`;
  const text =
    kind === "run" && found.trim() !== ""
      ? `<pre>${escaped(found.trimEnd())}</pre>`
      : escaped(found);
  const status =
    kind === "run" && !ok ? `<p>status ${event.exit ?? "none: it did not end"}</p>` : "";
  return `<tr>${mark}<td>${number > 0 ? number : ""}</td><td>${clockText(atMs)}</td><td>${escaped(name)}</td><td>${text}${status}</td><td>${of > 0 ? `${points}/${of}` : ""}</td></tr>`;
}

function timelineSvg(
  { lengthMs, flows }: Timeline,
  events: readonly TimelineEvent[],
  escaped: Escape,
): string {
  const span = WIDTH - LEFT - RIGHT;
  const x = (ms: number) => round(LEFT + (Math.min(ms, lengthMs) / Math.max(1, lengthMs)) * span);
  const height = TOP + flows.length * ROW + 34;
  const parts: string[] = [];
  const stepMs = niceStep(lengthMs, 10);
  for (let at = 0; at <= lengthMs; at += stepMs) {
    const word = at === 0 ? "0 s" : formatDurationNs(at * 1e6).replace(/\.0 s$/, " s");
    parts.push(
      `<line class="grid" x1="${x(at)}" x2="${x(at)}" y1="${TOP - 8}" y2="${height - 30}"/>`,
      `<text class="tick" x="${x(at)}" y="${TOP - 14}" text-anchor="middle">${word}</text>`,
    );
  }
  flows.forEach((flow, index) => {
    parts.push(flowSvg(flow, TOP + index * ROW, x, escaped));
  });
  for (const [i, { startedMs, name, ok }] of events.entries()) {
    const at = x(startedMs);
    // those that come close together stand beside each other
    const close = events.filter((one, j) => j < i && Math.abs(x(one.startedMs) - at) < 18).length;
    const badge = at + close * 20;
    parts.push(
      `<line class="event" x1="${at}" x2="${at}" y1="${TOP - 8}" y2="${height - 26}"/>`,
      `<g><title>${escaped(`${clockText(startedMs)} ${name}`)}</title>` +
        `<circle class="badge${ok ? "" : " bad"}" cx="${badge}" cy="${height - 16}" r="9"/>` +
        `<text class="number" x="${badge}" y="${height - 12}">${i + 1}</text></g>`,
    );
  }
  return `<svg class="timeline" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="time line">
${parts.join("\n")}
</svg>`;
}

function flowSvg(
  flow: FlowResult,
  top: number,
  x: (ms: number) => number,
  escaped: Escape,
): string {
  const { name, slices, sliceMs, startedMs, endedMs, dark } = flow;
  const most = bestOf(slices) * 1.15;
  const bottom = top + BAR;
  const points = slices.flatMap((frames, i) => {
    const y = round(bottom - Math.min(1, frames / most) * BAR);
    const [from, to] = [startedMs + i * sliceMs, Math.min(endedMs, startedMs + (i + 1) * sliceMs)];
    return to <= from ? [] : [`${x(from)},${y}`, `${x(to)},${y}`];
  });
  const darkness = dark.map(({ fromMs, toMs }) => {
    const width = Math.max(1, round(x(toMs) - x(fromMs)));
    return `<rect class="dark" x="${x(fromMs)}" y="${top}" width="${width}" height="${BAR}"><title>dark for ${clockText(toMs - fromMs)}</title></rect>`;
  });
  const short = name.length > 28 ? `${name.slice(0, 27)}…` : name;
  return `<g><title>${escaped(`${name}: ${flowText(flow)}`)}</title>
<text x="0" y="${top + 19}">${escaped(short)}</text>
<rect class="bed" x="${x(startedMs)}" y="${top}" width="${round(Math.max(1, x(endedMs) - x(startedMs)))}" height="${BAR}"/>
<polygon class="flow" points="${x(startedMs)},${bottom} ${points.join(" ")} ${x(endedMs)},${bottom}"/>
${darkness.join("")}</g>`;
}

const round = (value: number): number => Math.round(value * 10) / 10;
