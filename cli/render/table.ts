/** Columns of text: a bold heading, two spaces between, numbers to the right, no trailing blanks. */

import { padEnd, padStart, type Style, widthOf } from "./style.ts";

export interface Column {
  readonly heading: string;
  readonly align?: "left" | "right";
}

export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  style: Style,
  indent = "",
): string {
  const widths = columns.map((column, i) =>
    Math.max(widthOf(column.heading), ...rows.map((row) => widthOf(row[i] ?? ""))),
  );
  const line = (cells: readonly string[]) =>
    indent +
    cells
      .map((cell, i) => {
        const pad = columns[i]?.align === "right" ? padStart : padEnd;
        return pad(cell, widths[i] as number);
      })
      .join("  ")
      .trimEnd();
  const headings = columns.map((column, i) => {
    const pad = column.align === "right" ? padStart : padEnd;
    return pad(column.heading, widths[i] as number);
  });
  return [indent + style.bold(headings.join("  ").trimEnd()), ...rows.map(line)]
    .map((text) => `${text}\n`)
    .join("");
}
