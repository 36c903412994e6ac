/** One picture of what goes on, as lines: pure, for live-progress.ts and its tests. */

import { formatBytes, formatDurationNs } from "../../base/units.ts";
import type { GuestState, LabEvent } from "../../lab/api.ts";
import type { Output } from "../output.ts";
import { count, cutTo, padEnd, type Style, widthOf } from "./style.ts";

type ProgressEvent = LabEvent & { readonly type: "progress" };

export interface Step {
  readonly name: string;
  readonly detail: string | undefined;
  /** Milliseconds on the caller's clock. */
  readonly since: number;
}

export interface LiveState {
  step: Step | undefined;
  readonly work: Map<string, ProgressEvent>;
  readonly guests: Map<string, GuestState | "waiting">;
  reach?: (LabEvent & { readonly type: "reachability" }) | undefined;
}

export type Canvas = Pick<Output, "style" | "columns" | "rows">;

const BAR_COLUMNS = 24;

/** `✔ booted 3 guests      0.4 s` */
export function drawDoneStep(step: Step, state: LiveState, now: number, canvas: Canvas): string {
  const { style } = canvas;
  const failed = [...state.guests.values()].includes("failed");
  const mark = failed ? style.red(style.marks.bad) : style.green(style.marks.good);
  return `${titleLine(mark, step, now, canvas)}\n`;
}

/** Never taller than the terminal: what scrolled away can't be redrawn. */
export function drawBlock(
  state: LiveState,
  now: number,
  tick: number,
  canvas: Canvas,
): readonly string[] {
  const { style } = canvas;
  const spinner = style.marks.spinner[tick % style.marks.spinner.length] as string;
  const lines: string[] = [];
  if (state.step !== undefined) lines.push(titleLine(style.cyan(spinner), state.step, now, canvas));
  if (state.reach !== undefined) {
    const { probed, of, reached } = state.reach;
    lines.push(`  ${bar(probed, of, style)}  ${reached} of ${of} answered`);
  }
  for (const work of state.work.values()) lines.push(workLine(work, spinner, style));
  const unready = [...state.guests.values()].some((guest) => guest !== "ready");
  if (unready) lines.push(...guestGrid(state.guests, canvas, canvas.rows() - lines.length - 2));
  return lines
    .slice(0, Math.max(1, canvas.rows() - 1))
    .map((line) => cutTo(line, canvas.columns() - 1));
}

function titleLine(mark: string, step: Step, now: number, { style, columns }: Canvas): string {
  const time = formatDurationNs((now - step.since) * 1e6);
  const detail = step.detail === undefined ? "" : ` ${style.dim(step.detail)}`;
  const width = Math.min(columns() - 1, 100) - time.length - 2;
  return `${padEnd(cutTo(`${mark} ${step.name}${detail}`, width), width)}  ${style.dim(time)}`;
}

function workLine(work: ProgressEvent, spinner: string, style: Style): string {
  const amount = (n: number) => (work.unit === "bytes" ? formatBytes(n) : String(n));
  const done =
    work.total === undefined
      ? work.done > 0
        ? amount(work.done)
        : ""
      : `${bar(work.done, work.total, style)}  ${amount(work.done)} of ${amount(work.total)}`;
  const left = work.leftMs === undefined ? "" : `, ${timeLeft(work.leftMs)}`;
  return `  ${style.cyan(spinner)} ${work.what}  ${done}${left}`;
}

/** `about 4 min left`: an estimate is not told to the second. */
export function timeLeft(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes >= 1 ? `about ${minutes} min left` : "less than a minute left";
}

function bar(done: number, total: number, style: Style): string {
  const [full, empty] = style.marks.bar;
  const filled = total <= 0 ? 0 : Math.min(BAR_COLUMNS, Math.round((done / total) * BAR_COLUMNS));
  return style.cyan(full.repeat(filled)) + style.dim(empty.repeat(BAR_COLUMNS - filled));
}

/**
 * A cell a guest, in columns of equal width; with too many for the rows that are left, marks
 * without names; with too many for that, a count a state.
 */
export function guestGrid(
  guests: ReadonlyMap<string, GuestState | "waiting">,
  { style, columns }: Canvas,
  rows: number,
): string[] {
  const room = columns() - 3;
  const mark = (state: GuestState | "waiting") => paint(state, style);
  const names = Math.max(0, ...[...guests.keys()].map(widthOf));
  const cells = [...guests].map(([name, state]) => `${mark(state)} ${padEnd(name, names)}`);
  const across = Math.max(1, Math.floor((room + 2) / (names + 4)));
  if (Math.ceil(cells.length / across) <= rows) {
    return inRows(cells, across).map((row) => `  ${row.join("  ")}`);
  }
  const marks = [...guests.values()].map(mark);
  if (Math.ceil(marks.length / room) <= rows) {
    return inRows(marks, room).map((row) => `  ${row.join("")}`);
  }
  const states = new Map<string, number>();
  for (const state of guests.values()) states.set(state, (states.get(state) ?? 0) + 1);
  return [
    `  ${count(guests.size, "guest")}: ${[...states].map((s) => `${s[1]} ${s[0]}`).join(", ")}`,
  ];
}

function paint(state: GuestState | "waiting", style: Style): string {
  const mark = style.marks.guest[state] as string;
  if (state === "ready") return style.green(mark);
  if (state === "failed") return style.red(mark);
  if (state === "waiting" || state === "stopped") return style.dim(mark);
  return style.yellow(mark);
}

function inRows<T>(items: readonly T[], across: number): T[][] {
  const rows: T[][] = [];
  for (let i = 0; i < items.length; i += across) rows.push(items.slice(i, i + across));
  return rows;
}
