/**
 * Who reaches whom, as a matrix that fits: with round trips where there is room, with marks alone
 * where there is less, one column a guest under numbers where there is little, and not at all
 * (undefined) where it would not fit.
 *
 *     from \ to   alice    bob      r1
 *     alice         ·     ✔ 0.42  ✔ 0.31
 *     bob         ✔ 0.44    ·     ✔ 0.29
 */

import type { ReachabilityResult } from "../../lab/api.ts";
import { center, padEnd, padStart, type Style, widthOf } from "./style.ts";

/** All addresses of one ordered pair, taken together. */
export interface Cell {
  readonly kind: "self" | "unprobed" | "reached" | "isolated" | "missed" | "leak" | "open" | "none";
  /** The slowest answer. */
  readonly rttMs: number | null;
  readonly reached: number;
  readonly of: number;
}

const NO_CELL: Cell = { kind: "unprobed", rttMs: null, reached: 0, of: 0 };

/** The worst of a pair's addresses decides. */
export function cellOf(results: readonly ReachabilityResult[]): Cell {
  if (results.length === 0) return NO_CELL;
  const reached = results.filter((result) => result.reachable);
  const times = reached.flatMap((result) => (result.rttMs === null ? [] : [result.rttMs]));
  const expected = results[0]?.expected ?? null;
  const ok = results.every((result) => result.ok);
  const all = reached.length === results.length;
  const kind =
    expected === "reach"
      ? ok
        ? "reached"
        : "missed"
      : expected === "isolate"
        ? ok
          ? "isolated"
          : "leak"
        : all
          ? "open"
          : "none";
  return {
    kind,
    rttMs: times.length === 0 ? null : Math.max(...times),
    reached: reached.length,
    of: results.length,
  };
}

export const pairKey = (from: string, to: string): string => `${from} ${to}`;

export function groupPairs(
  results: readonly ReachabilityResult[],
): ReadonlyMap<string, readonly ReachabilityResult[]> {
  const pairs = new Map<string, ReachabilityResult[]>();
  for (const result of results) {
    const key = pairKey(result.from, result.to);
    const pair = pairs.get(key);
    if (pair === undefined) pairs.set(key, [result]);
    else pair.push(result);
  }
  return pairs;
}

/** `0.42`, `12`: two digits that matter. */
export const rttText = (ms: number): string =>
  ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : String(Math.round(ms));

function markOf(cell: Cell, style: Style): string {
  const { marks } = style;
  switch (cell.kind) {
    case "self":
      return style.dim(marks.self);
    case "unprobed":
      return " ";
    case "reached":
      return style.green(marks.good);
    case "isolated":
      return style.green(marks.isolated);
    case "missed":
      return style.red(style.bold(marks.bad));
    case "leak":
      return style.red(style.bold(marks.leak));
    case "open":
      return style.dim(marks.open);
    case "none":
      return style.dim(marks.none);
  }
}

/** The mark, and how fast; or how many of a pair's addresses answered where not all did. */
function longCell(cell: Cell, style: Style): string {
  const mark = markOf(cell, style);
  if (cell.reached > 0 && cell.reached < cell.of) return `${mark} ${cell.reached}/${cell.of}`;
  return cell.rttMs === null ? mark : `${mark} ${style.dim(rttText(cell.rttMs))}`;
}

export interface Matrix {
  readonly text: string;
  /** The kinds of cell that occur, for the legend. */
  readonly kinds: ReadonlySet<Cell["kind"]>;
  readonly withTimes: boolean;
}

const CORNER = "from \\ to";

/** undefined: not even the densest form has room in so many columns. */
export function drawMatrix(
  guests: readonly string[],
  results: readonly ReachabilityResult[],
  columns: number,
  style: Style,
): Matrix | undefined {
  if (guests.length > columns) return undefined; // each takes a column at least
  const pairs = groupPairs(results);
  const cells = guests.map((from) =>
    guests.map((to): Cell => {
      if (from === to) return { ...NO_CELL, kind: "self" };
      return cellOf(pairs.get(pairKey(from, to)) ?? []);
    }),
  );
  const kinds = new Set(cells.flat().map((cell) => cell.kind));
  const name = Math.max(CORNER.length, ...guests.map(widthOf));

  const full = cells.map((row) => row.map((cell) => longCell(cell, style)));
  const wide = Math.max(...guests.map(widthOf), ...full.flat().map(widthOf));
  if (2 + name + guests.length * (wide + 3) <= columns) {
    return { text: grid(guests, full, name, wide, 3, style), kinds, withTimes: true };
  }
  const marks = cells.map((row) => row.map((cell) => markOf(cell, style)));
  const narrow = Math.max(...guests.map(widthOf));
  if (2 + name + guests.length * (narrow + 2) <= columns) {
    return { text: grid(guests, marks, name, narrow, 2, style), kinds, withTimes: false };
  }
  const dense = denseGrid(guests, marks, columns, style);
  return dense === undefined ? undefined : { text: dense, kinds, withTimes: false };
}

function grid(
  guests: readonly string[],
  cells: readonly (readonly string[])[],
  name: number,
  cell: number,
  gap: number,
  style: Style,
): string {
  const blank = " ".repeat(gap);
  const head =
    style.dim(padEnd(CORNER, name)) +
    guests.map((guest) => blank + style.bold(center(guest, cell))).join("");
  // Marks stand under each other: the text after them differs in width, so pad, then centre.
  const inner = Math.max(0, ...cells.flat().map(widthOf));
  const rows = cells.map((row, i) => {
    const label = style.bold(padEnd(guests[i] as string, name));
    return label + row.map((text) => blank + placed(text, inner, cell)).join("");
  });
  return `${[head, ...rows].map((line) => `  ${line.trimEnd()}\n`).join("")}`;
}

const placed = (text: string, inner: number, cell: number): string =>
  widthOf(text) <= 1 ? center(text, cell) : center(padEnd(text, inner), cell);

/** Guests are numbered; a column's number is read from top to bottom; a gap every five. */
function denseGrid(
  guests: readonly string[],
  marks: readonly (readonly string[])[],
  columns: number,
  style: Style,
): string | undefined {
  const digits = String(guests.length).length;
  const name = Math.max(...guests.map(widthOf));
  const label = digits + 1 + name;
  const spaced = <T>(items: readonly T[], text: (item: T, i: number) => string): string =>
    items.map((item, i) => (i > 0 && i % 5 === 0 ? " " : "") + text(item, i)).join("");
  const width = 2 + label + 2 + guests.length + Math.floor((guests.length - 1) / 5);
  if (width > columns) return undefined;
  const lines: string[] = [];
  for (let digit = 0; digit < digits; digit++) {
    const row = spaced(guests, (_, i) => padStart(String(i + 1), digits)[digit] as string);
    lines.push(" ".repeat(label + 2) + style.bold(row));
  }
  for (const [i, row] of marks.entries()) {
    const number = style.dim(padStart(String(i + 1), digits));
    lines.push(
      `${number} ${style.bold(padEnd(guests[i] as string, name))}  ${spaced(row, (mark) => mark)}`,
    );
    if (i % 5 === 4 && i < marks.length - 1) lines.push("");
  }
  return lines.map((line) => `${`  ${line}`.trimEnd()}\n`).join("");
}
