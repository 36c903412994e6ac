/**
 * The report of `up`, `test` and `verify` for people: the matrix, what failed and why, the checks,
 * one line with the verdict. It is read from the last row of a classroom: the verdict stands alone
 * and says everything that counts.
 */

import { formatDurationNs } from "../../base/units.ts";
import type { CheckResult, ReachabilityResult, Report } from "../../lab/api.ts";
import { expectationsText } from "./expectations.ts";
import { type Cell, drawMatrix, groupPairs } from "./matrix.ts";
import { count, padEnd, type Style, widthOf, wrap } from "./style.ts";
import { timelineText } from "./timeline-text.ts";

export interface ReportOptions {
  readonly columns: number;
  readonly style: Style;
  /** All failures, however many. */
  readonly verbose: boolean;
}

const FAILURES_SHOWN = 20;
const OUTPUT_LINES = 8;

export function reportText(report: Report, options: ReportOptions): string {
  const { style } = options;
  const parts = [
    matrixPart(report, options),
    failuresPart(report.reachability, options),
    expectationsText(report.expectations, options),
    checksPart(report.checks, options),
    timelineText(report.timeline, options),
    guestsPart(report, style),
    verdictLine(report, style),
  ];
  return `\n${parts.filter((part) => part !== "").join("\n")}`;
}

function matrixPart(report: Report, { columns, style }: ReportOptions): string {
  if (report.reachability.length === 0) return "";
  const guests = report.guests.map((guest) => guest.name);
  const title = `${style.bold(report.lab)}: who reaches whom\n\n`;
  const matrix = drawMatrix(guests, report.reachability, columns, style);
  if (matrix === undefined) {
    const n = guests.length;
    return `${title}  ${n} ${style.marks.times} ${n} guests are too many for ${columns} columns; below is what failed.\n`;
  }
  return `${title}${matrix.text}\n${legend(matrix.kinds, matrix.withTimes, columns, style)}`;
}

function legend(
  kinds: ReadonlySet<Cell["kind"]>,
  withTimes: boolean,
  columns: number,
  style: Style,
): string {
  const { marks } = style;
  const times = withTimes ? " (ms)" : "";
  const meanings: readonly (readonly [Cell["kind"], string])[] = [
    ["reached", `${style.green(marks.good)} reached${times}`],
    ["isolated", `${style.green(marks.isolated)} kept apart, as it must be`],
    ["missed", `${style.red(marks.bad)} not reached`],
    ["leak", `${style.red(marks.leak)} reached, though it must not be`],
    ["open", `${marks.open} reached, not judged`],
    ["none", `${marks.none} not reached, not judged`],
  ];
  const used = meanings.filter(([kind]) => kinds.has(kind)).map(([, text]) => text);
  const lines: string[] = [];
  for (const text of used) {
    const last = lines.at(-1);
    if (last !== undefined && widthOf(last) + 3 + widthOf(text) <= columns) {
      lines[lines.length - 1] = `${last}   ${text}`;
    } else lines.push(`  ${text}`);
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** A pair's addresses together; the same reason is said once. */
function failuresPart(results: readonly ReachabilityResult[], options: ReportOptions): string {
  const { style, columns, verbose } = options;
  const failed = [...groupPairs(results.filter((result) => !result.ok)).values()];
  if (failed.length === 0) return "";
  const lines = [style.bold(`${count(failed.length, "pair")} not as expected`), ""];
  const shown = verbose ? failed : failed.slice(0, FAILURES_SHOWN);
  const names = Math.max(...shown.map(([first]) => widthOf(pairText(first!, style))));
  for (const pair of shown) {
    const first = pair[0] as ReachabilityResult;
    const mark = first.expected === "isolate" ? style.marks.leak : style.marks.bad;
    const what = first.expected === "isolate" ? "reached, though it must not be" : "not reached";
    const addresses = pair.map((result) => result.address).join(", ");
    lines.push(
      `  ${style.red(style.bold(mark))} ${padEnd(pairText(first, style), names)}  ${what} at ${addresses}`,
    );
    const reasons = new Set(pair.flatMap((result) => (result.why === null ? [] : [result.why])));
    for (const why of reasons) lines.push(wrap(why, columns, "      "));
  }
  const left = failed.length - shown.length;
  if (left > 0) lines.push(`  ${style.marks.dash} and ${left} more (--verbose shows all)`);
  return `${lines.join("\n")}\n`;
}

const pairText = (result: ReachabilityResult, style: Style): string =>
  `${result.from} ${style.marks.arrow} ${result.to}`;

function checksPart(checks: readonly CheckResult[], { style, verbose }: ReportOptions): string {
  if (checks.length === 0) return "";
  const lines = [style.bold("Checks"), ""];
  const names = Math.max(...checks.map((check) => widthOf(check.name)));
  const guests = Math.max(...checks.map((check) => widthOf(check.on)));
  for (const check of checks) {
    const mark = check.ok ? style.green(style.marks.good) : style.red(style.bold(style.marks.bad));
    const points = check.of > 0 ? `  ${check.points}/${check.of} points` : "";
    lines.push(`  ${mark} ${padEnd(check.name, names)}  on ${padEnd(check.on, guests)}${points}`);
    if (check.ok && !verbose) continue;
    if (!check.ok) {
      lines.push(
        `      ${check.exit === null ? "it did not end in time" : `it ended with status ${check.exit}`}` +
          `${check.output.trim() === "" ? " and no output" : " and this output:"}`,
      );
    }
    const output = check.output.trimEnd().split("\n");
    if (check.output.trim() === "") continue;
    if (output.length > OUTPUT_LINES) lines.push(style.dim("      …"));
    for (const line of output.slice(-OUTPUT_LINES)) lines.push(style.dim(`      ${line}`));
  }
  return `${lines.join("\n")}\n`;
}

/** Guests that are not ready; a healthy lab has none to speak of. */
function guestsPart(report: Report, style: Style): string {
  const unready = report.guests.filter((guest) => guest.state !== "ready");
  return unready
    .map((guest) => `  ${style.yellow(style.marks.warn)} ${guest.name} is ${guest.state}\n`)
    .join("");
}

export function verdictLine(report: Report, style: Style): string {
  const pass = report.verdict === "pass";
  const badge = pass
    ? style.onGreen(` ${style.marks.good} PASS `)
    : style.onRed(` ${style.marks.bad} FAIL `);
  const plain = pass ? `${style.marks.good} PASS` : `${style.marks.bad} FAIL`;
  const { timing } = report;
  const times = `ready ${ms(timing.readyMs)}, measured ${ms(timing.verifyMs)}, total ${ms(timing.totalMs)}`;
  const facts = [summary(report), times]
    .filter((fact) => fact !== "")
    .join(` ${style.marks.dash} `);
  return `${style.color ? badge : plain} ${style.bold(report.lab)}  ${facts}\n`;
}

/** `6 of 6 pairs, 2 of 3 checks, 4 of 5 points` */
function summary(report: Report): string {
  const pairs = [...groupPairs(report.reachability).values()];
  const judged = pairs.filter((pair) => pair[0]?.expected !== null);
  const held = judged.filter((pair) => pair.every((result) => result.ok));
  const facts: string[] = [];
  if (judged.length > 0) {
    facts.push(`${held.length} of ${count(judged.length, "pair")} as expected`);
  } else if (pairs.length > 0) facts.push(`${count(pairs.length, "pair")} measured, none judged`);
  if (report.expectations.length > 0) {
    const ok = report.expectations.filter((one) => one.ok).length;
    facts.push(`${ok} of ${count(report.expectations.length, "expectation")}`);
  }
  if (report.checks.length > 0) {
    const ok = report.checks.filter((check) => check.ok).length;
    facts.push(`${ok} of ${count(report.checks.length, "check")}`);
  }
  if (report.timeline !== null) {
    const ok = report.timeline.events.filter((one) => one.ok).length;
    facts.push(`${ok} of ${count(report.timeline.events.length, "event")}`);
  }
  if (report.score.of > 0) {
    facts.push(`${report.score.points} of ${count(report.score.of, "point")}`);
  }
  return facts.join(", ");
}

const ms = (value: number): string => formatDurationNs(Math.round(value) * 1e6);
