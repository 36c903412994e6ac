/**
 * Where text goes: a stream, whether a person looks at it, how wide it is, and which marks it can
 * show. Writing obeys backpressure; a reader that goes away (EPIPE) ends the command quietly.
 */

import type { Writable } from "node:stream";
import { makeStyle, type Style } from "./render/style.ts";

export interface Output {
  readonly stream: Writable;
  readonly isTerminal: boolean;
  readonly style: Style;
  columns(): number;
  rows(): number;
  /** Resolves when the stream has taken it. */
  write(text: string | Uint8Array): Promise<void>;
}

/** The width of text that no terminal shows: report files, logs of continuous integration. */
const PLAIN_COLUMNS = 100;

type MaybeTty = Writable & { isTTY?: boolean; columns?: number; rows?: number };

export function makeOutput(stream: MaybeTty, env: NodeJS.ProcessEnv): Output {
  const isTerminal = stream.isTTY === true;
  return {
    stream,
    isTerminal,
    style: makeStyle({ color: wantsColor(isTerminal, env), ascii: wantsAscii(env) }),
    columns: () => stream.columns ?? (Number(env.COLUMNS) || PLAIN_COLUMNS),
    rows: () => stream.rows ?? 24,
    write: (text) =>
      new Promise((resolve) => {
        // The callback's error is the stream's "error" event as well, which main.ts handles.
        // Even an empty write resolves after all that was written before it.
        stream.write(text, () => resolve());
      }),
  };
}

/** https://no-color.org: set and not empty means no. */
function wantsColor(isTerminal: boolean, env: NodeJS.ProcessEnv): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== "0") return true;
  return isTerminal && env.TERM !== "dumb";
}

/** Only where the locale or the terminal says that it can't show more. */
function wantsAscii(env: NodeJS.ProcessEnv): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG;
  if (env.TERM === "linux" || env.TERM === "dumb") return true;
  return Boolean(locale) && !/utf-?8/i.test(locale as string);
}
