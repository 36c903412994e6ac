/** Tables for people: left column of names, the rest right-aligned. */

export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? "").length)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const width = widths[column] as number;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  ")
      .trimEnd();
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join(
    "\n",
  );
}

export const gbit = (bitsPerSec: number) => `${(bitsPerSec / 1e9).toFixed(2)} Gbit/s`;
export const kpps = (perSec: number) => `${(perSec / 1e3).toFixed(0)} k/s`;
export const micros = (us: number) => `${us.toFixed(0)} µs`;
export const ratio = (ours: number, theirs: number) => `${(ours / theirs).toFixed(2)}×`;

/** The middle of an odd number of values, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const upper = sorted[half] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] as number)) / 2;
}
