/**
 * The text of a topology file, and places in it: offsets to lines and columns, and the excerpt
 * with a caret that an error shows.
 */

import type { SourcePosition } from "../../base/errors.ts";

/** Offsets into the text (UTF-16 units), end exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What a terminal shows of a long line around the caret. */
const EXCERPT_WIDTH = 96;

export class Source {
  readonly file: string;
  readonly text: string;
  readonly #lineStarts: readonly number[];

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
    const starts = [0];
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
    this.#lineStarts = starts;
  }

  /** Lines and columns count from 1; a column is a character, not a byte. */
  position(offset: number): SourcePosition {
    const line = this.#lineOf(offset);
    const before = this.text.slice(this.#lineStarts[line], offset);
    return { file: this.file, line: line + 1, column: [...before].length + 1 };
  }

  /** The line with carets under the span (its part on the first line), as two lines. */
  excerpt({ start, end }: Span): string {
    const line = this.#lineOf(start);
    const from = this.#lineStarts[line] as number;
    const to = this.#lineStarts[line + 1] ?? this.text.length + 1;
    // One character a column: tabs become spaces, so that the caret stands right.
    const clean = (text: string) => [...text.replace(/[\r\n]/g, "").replace(/\s/g, " ")];
    const shown = clean(this.text.slice(from, to - 1));
    const column = clean(this.text.slice(from, start)).length;
    const width = Math.max(1, clean(this.text.slice(start, Math.min(end, to - 1))).length);
    const skip = column + Math.min(width, 24) > EXCERPT_WIDTH ? column - EXCERPT_WIDTH / 3 : 0;
    const first = Math.max(0, Math.floor(skip));
    const part = shown.slice(first, first + EXCERPT_WIDTH);
    const carets = Math.max(1, Math.min(width, part.length - (column - first)));
    return `${part.join("").trimEnd()}\n${" ".repeat(column - first)}${"^".repeat(carets)}`;
  }

  #lineOf(offset: number): number {
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#lineStarts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
