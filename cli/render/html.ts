/**
 * The report as one HTML page that needs nothing else: no script, no font, no picture from
 * elsewhere; light and dark as the reader's system has it; prints on paper.
 */

import { formatDurationNs } from "../../base/units.ts";
import type { CheckResult, ReachabilityResult, Report } from "../../lab/api.ts";
import { expectationsHtml } from "./expectations.ts";
import { type Cell, cellOf, groupPairs, pairKey, rttText } from "./matrix.ts";
import { count } from "./style.ts";
import { TIMELINE_CSS, timelineHtml } from "./timeline-html.ts";

export interface Page {
  readonly title: string;
  readonly good: boolean;
  /** Texts of the head: a mark, a heading, a line of facts. */
  readonly mark: string;
  readonly heading: string;
  readonly facts: string;
  /** HTML. */
  readonly body: string;
}

/** A page that needs nothing else. */
export function htmlPage({ title, good, mark, heading, facts, body }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${xmlText(title)}</title>
<style>${CSS}${TIMELINE_CSS}</style>
</head>
<body>
<header class="${good ? "pass" : "fail"}">
  <p class="verdict">${xmlText(mark)}</p>
  <h1>${xmlText(heading)}</h1>
  <p>${xmlText(facts)}</p>
</header>
<main>
${body}</main>
</body>
</html>
`;
}

export interface PageParts {
  /** A picture of the lab: SVG. */
  readonly graph?: string | undefined;
  /** Where its frames were recorded, relative to the page. */
  readonly capture?: string | undefined;
}

export function reportHtml(report: Report, at: Date, parts: PageParts = {}): string {
  const good = report.verdict === "pass";
  return htmlPage({
    title: `${good ? "PASS" : "FAIL"}: ${report.lab}`,
    good,
    mark: good ? "✔ PASS" : "✘ FAIL",
    heading: report.lab,
    facts: facts(report),
    body: `${matrix(report)}${failures(report.reachability)}${expectationsHtml(report.expectations, xmlText)}${checks(report.checks)}${timelineHtml(report.timeline, xmlText)}${graph(parts.graph)}${guests(report)}${capture(parts.capture)}
<footer>uml-lab, ${at.toISOString().slice(0, 19).replace("T", " ")} UTC. ${xmlText(timing(report))}</footer>
`,
  });
}

const CSS = `
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f3f5f7; --line: #d8dee4;
  --dim: #667079; --good: #1a7f37; --goodsoft: #dcf5e3; --bad: #c2222d; --badsoft: #fde3e4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --paper: #14171a; --soft: #1d2125;
  --line: #343a40; --dim: #98a1a9; --good: #4ac26b; --goodsoft: #16331f; --bad: #ff7b80;
  --badsoft: #43191c; } }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
header { padding: 2rem max(1.5rem, calc(50vw - 34rem)); color: #fff; }
header.pass { background: #1a7f37; } header.fail { background: #b3202b; }
header h1 { margin: 0; font-size: 2rem; } header p { margin: .2rem 0 0; opacity: .95; }
header .verdict { margin: 0; font-weight: 700; letter-spacing: .08em; }
main { padding: 1rem 1.5rem 3rem; max-width: 71rem; margin: 0 auto; }
h2 { margin: 2rem 0 .75rem; font-size: 1.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .65rem; text-align: left; vertical-align: top; }
table.list { width: 100%; } table.list th { color: var(--dim); font-weight: 600; font-size: .85rem; }
table.list td, table.list th { border-bottom: 1px solid var(--line); }
table.matrix td { text-align: center; border: 2px solid var(--paper); border-radius: 6px;
  background: var(--soft); min-width: 2.4rem; white-space: nowrap; }
table.matrix th { font-weight: 600; } table.matrix tbody th { text-align: right; }
td.reached, td.isolated { background: var(--goodsoft) !important; color: var(--good); }
td.missed, td.leak { background: var(--badsoft) !important; color: var(--bad); font-weight: 700; }
td.self, td.unprobed, td.open, td.none { color: var(--dim); }
small { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); }
ul.failures { padding: 0; list-style: none; margin: 0; }
ul.failures li { border-left: 4px solid var(--bad); background: var(--soft); padding: .6rem 1rem;
  margin: 0 0 .5rem; border-radius: 0 6px 6px 0; }
ul.failures p { margin: .2rem 0 0; }
pre { background: var(--soft); padding: .6rem .8rem; border-radius: 6px; overflow-x: auto; margin: .4rem 0 0;
  font: 13px/1.45 ui-monospace, "Liberation Mono", monospace; }
footer { margin-top: 3rem; color: var(--dim); font-size: .85rem; }
div.graph { background: #fff; border-radius: 6px; } div.graph svg { max-width: 100%; height: auto; }
.legend { color: var(--dim); font-size: .9rem; }
@media print { header { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
`;

const MEANINGS: Readonly<Record<Cell["kind"], readonly [mark: string, meaning: string]>> = {
  self: ["·", "itself"],
  unprobed: ["", "not probed"],
  reached: ["✔", "reached"],
  isolated: ["⊘", "kept apart, as it must be"],
  missed: ["✘", "not reached"],
  leak: ["!", "reached, though it must not be"],
  open: ["○", "reached, not judged"],
  none: ["–", "not reached, not judged"],
};

function facts(report: Report): string {
  const pairs = [...groupPairs(report.reachability).values()];
  const judged = pairs.filter((pair) => pair[0]?.expected !== null);
  const held = judged.filter((pair) => pair.every((result) => result.ok)).length;
  const parts = [count(report.guests.length, "guest")];
  if (judged.length > 0) parts.push(`${held} of ${count(judged.length, "pair")} as expected`);
  if (report.expectations.length > 0) {
    const ok = report.expectations.filter((one) => one.ok).length;
    parts.push(`${ok} of ${count(report.expectations.length, "expectation")}`);
  }
  if (report.checks.length > 0) {
    const ok = report.checks.filter((check) => check.ok).length;
    parts.push(`${ok} of ${count(report.checks.length, "check")}`);
  }
  if (report.timeline !== null) {
    const ok = report.timeline.events.filter((one) => one.ok).length;
    parts.push(`${ok} of ${count(report.timeline.events.length, "event")}`);
  }
  if (report.score.of > 0) {
    parts.push(`${report.score.points} of ${count(report.score.of, "point")}`);
  }
  return parts.join(", ");
}

/** A matrix of more guests is slow to open, and nobody reads it. */
const MOST_IN_MATRIX = 150;

function matrix(report: Report): string {
  const names = report.guests.map((guest) => guest.name);
  if (report.reachability.length === 0 || names.length > MOST_IN_MATRIX) return "";
  const pairs = groupPairs(report.reachability);
  const kinds = new Set<Cell["kind"]>();
  const rows = names.map((from) => {
    const cells = names.map((to) => {
      const results = pairs.get(pairKey(from, to)) ?? [];
      const cell: Cell = from === to ? { ...cellOf([]), kind: "self" } : cellOf(results);
      kinds.add(cell.kind);
      return cellHtml(from, to, cell, results);
    });
    return `<tr><th scope="row">${xmlText(from)}</th>${cells.join("")}</tr>`;
  });
  const legend = (Object.keys(MEANINGS) as Cell["kind"][])
    .filter((kind) => kinds.has(kind) && kind !== "self" && kind !== "unprobed")
    .map((kind) => MEANINGS[kind].join(" "));
  return `<h2>Who reaches whom</h2>
<div class="scroll"><table class="matrix">
<thead><tr><th><small>from \\ to</small></th>${names.map((name) => `<th scope="col">${xmlText(name)}</th>`).join("")}</tr></thead>
<tbody>${rows.join("\n")}</tbody>
</table></div>
<p class="legend">${legend.join(" &nbsp; ")} &nbsp; (times in milliseconds)</p>
`;
}

function cellHtml(
  from: string,
  to: string,
  cell: Cell,
  results: readonly ReachabilityResult[],
): string {
  const [mark, meaning] = MEANINGS[cell.kind];
  const addresses = results.map((result) => {
    const answer = result.reachable ? `${result.rttMs ?? "?"} ms` : "no answer";
    return `${result.address}: ${answer}`;
  });
  const title = [`${from} → ${to}: ${meaning}`, ...addresses].join("\n");
  const time = cell.rttMs === null ? "" : ` <small>${rttText(cell.rttMs)}</small>`;
  return `<td class="${cell.kind}" title="${xmlText(title)}">${mark}${time}</td>`;
}

function failures(results: readonly ReachabilityResult[]): string {
  const failed = [...groupPairs(results.filter((result) => !result.ok)).values()];
  if (failed.length === 0) return "";
  const items = failed.map((pair) => {
    const first = pair[0] as ReachabilityResult;
    const what =
      first.expected === "isolate" ? "was reached, though it must not be" : "was not reached";
    const reasons = new Set(pair.flatMap((result) => (result.why === null ? [] : [result.why])));
    const addresses = pair.map((result) => result.address).join(", ");
    return (
      `<li><strong>${xmlText(first.from)} → ${xmlText(first.to)}</strong> ${what} at ${xmlText(addresses)}` +
      `${[...reasons].map((why) => `<p>${xmlText(why)}</p>`).join("")}</li>`
    );
  });
  return `<h2>What failed, and why</h2>\n<ul class="failures">\n${items.join("\n")}\n</ul>\n`;
}

function checks(all: readonly CheckResult[]): string {
  if (all.length === 0) return "";
  const rows = all.map((check) => {
    const mark = check.ok ? `<td class="good">✔</td>` : `<td class="bad">✘</td>`;
    const output =
      check.output.trim() === "" ? "" : `<pre>${xmlText(check.output.trimEnd())}</pre>`;
    const status = check.exit === null ? "no end" : String(check.exit);
    return `<tr>${mark}<td>${xmlText(check.name)}${output}</td><td>${xmlText(check.on)}</td><td>${status}</td><td>${check.points}/${check.of}</td></tr>`;
  });
  return `<h2>Checks</h2>
<div class="scroll"><table class="list">
<thead><tr><th></th><th>check</th><th>on</th><th>status</th><th>points</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>
`;
}

function guests(report: Report): string {
  const rows = report.guests.map((guest) => {
    const interfaces = guest.interfaces
      .map((one) => `${one.name} ${one.addresses.join(", ")} <small>${one.mac}</small>`)
      .join("<br>");
    const boot = guest.bootMs === null ? "–" : formatDurationNs(guest.bootMs * 1e6);
    return `<tr><td><strong>${xmlText(guest.name)}</strong></td><td>${guest.state}</td><td>${boot}</td><td>${xmlText(guest.kernel)}</td><td>${interfaces}</td></tr>`;
  });
  return `<h2>Guests</h2>
<div class="scroll"><table class="list">
<thead><tr><th>guest</th><th>state</th><th>boot</th><th>kernel</th><th>interfaces</th></tr></thead>
<tbody>${rows.join("\n")}</tbody></table></div>
`;
}

/** As part of the page: without the XML declaration that a file of its own begins with. */
function graph(svg: string | undefined): string {
  if (svg === undefined) return "";
  return `<h2>The lab</h2>\n<div class="scroll graph">${svg.slice(Math.max(0, svg.indexOf("<svg")))}</div>\n`;
}

function capture(path: string | undefined): string {
  if (path === undefined) return "";
  const link = path.split("/").map(encodeURIComponent).join("/");
  return `<h2>Frames</h2>\n<p>Every frame, for Wireshark: <a href="${link}">${xmlText(path)}</a></p>\n`;
}

function timing({ timing: t }: Report): string {
  const ms = (value: number) => formatDurationNs(Math.round(value) * 1e6);
  return `Ready in ${ms(t.readyMs)}, measured in ${ms(t.verifyMs)}, ${ms(t.totalMs)} in all.`;
}

export const xmlText = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
