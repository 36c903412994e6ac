/** Ranges of names: `h1..50` is h1, h2, … h50; `h01..50` pads with zeros. */

export interface Range {
  readonly prefix: string;
  readonly from: number;
  readonly to: number;
  /** Digits that each number is padded to. */
  readonly width: number;
}

/** Undefined for what is a plain name. */
export function parseRange(text: string): Range | undefined {
  const match = /^(.*?)(\d+)\.\.(\d+)$/.exec(text);
  if (match === null) return undefined;
  const [, prefix = "", from = "", to = ""] = match;
  return {
    prefix,
    from: Number(from),
    to: Number(to),
    width: from.length > 1 && from.startsWith("0") ? from.length : 1,
  };
}

/** The names of a range, in order; none where it runs backwards. */
export function namesOf({ prefix, from, to, width }: Range): string[] {
  const names: string[] = [];
  for (let n = from; n <= to; n++) names.push(`${prefix}${String(n).padStart(width, "0")}`);
  return names;
}

/** A name or a range to names. Never more than `limit` names (a backwards range gives none). */
export function expand(text: string, limit = 10_000): string[] {
  const range = parseRange(text);
  if (range === undefined) return [text];
  return range.to - range.from >= limit ? [] : namesOf(range);
}
