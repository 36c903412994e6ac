/**
 * `${NAME}` and `${NAME:-default}` from the environment; `$$` is a dollar sign.
 *
 * Replacement happens after YAML was read, so a value never changes the structure of the file and
 * positions stay those of the file. But `{ delay: ${DELAY} }` is not YAML as it stands: braces end
 * a plain scalar inside a flow map. So every `${…}` is *shielded* first: each of its characters is
 * moved, one to one, to a window of Unicode's private use area that the file does not use. YAML
 * then sees an ordinary word of the same length at the same place; `unshield` moves it back.
 */

export interface Shielded {
  readonly text: string;
  readonly unshield: (text: string) => string;
}

const WINDOW = 0x80;

/** What can be a variable: others are left to YAML, so that a lost brace swallows nothing. */
function isVariable(text: string): boolean {
  if (!/^\$\{[A-Za-z_][A-Za-z0-9_]*(?:\}|:?[-+?])/.test(text)) return false;
  return (text.match(/"/g)?.length ?? 0) % 2 === 0;
}

/** The end of the `${…}` that starts at `start` (nested defaults counted), on one line; or -1. */
function endOfVariable(text: string, start: number): number {
  let depth = 0;
  for (let i = start; i < text.length && text[i] !== "\n"; i++) {
    if (text[i] === "$" && text[i + 1] === "{") {
      depth++;
      i++;
    } else if (text[i] === "}" && --depth === 0) return i + 1;
  }
  return -1;
}

export function shield(text: string): Shielded {
  let base = 0xe000;
  const used = new Set(
    Array.from(text.matchAll(/[\ue000-\uf8ff]/g), ([c]) => c.charCodeAt(0) >> 7),
  );
  while (used.has(base >> 7)) base += WINDOW;
  let out = "";
  let done = 0;
  for (let at = text.indexOf("$"); at >= 0; at = text.indexOf("$", at)) {
    if (text[at + 1] === "$") {
      at += 2;
      continue;
    }
    const end = text[at + 1] === "{" ? endOfVariable(text, at) : -1;
    if (end < 0 || !isVariable(text.slice(at, end))) {
      at += 1;
      continue;
    }
    out += text.slice(done, at);
    for (const unit of text.slice(at, end).split("")) {
      const code = unit.charCodeAt(0);
      out += code < WINDOW ? String.fromCharCode(base + code) : unit;
    }
    done = end;
    at = end;
  }
  out += text.slice(done);
  const window = new RegExp(
    `[${String.fromCharCode(base)}-${String.fromCharCode(base + WINDOW - 1)}]`,
    "g",
  );
  return {
    text: out,
    unshield: (shielded) =>
      shielded.replace(window, (c) => String.fromCharCode(c.charCodeAt(0) - base)),
  };
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface VariableProblem {
  readonly code: "UNDEFINED_VARIABLE" | "BAD_VALUE";
  /** Where in the text that was replaced. */
  readonly index: number;
  readonly length: number;
  readonly message: string;
  readonly hint: string;
}

export interface Replaced {
  readonly text: string;
  readonly changed: boolean;
  readonly problems: readonly VariableProblem[];
}

/** Replaces every variable of one scalar. What Compose understands after the name, we do too. */
export function replaceVariables(text: string, env: Environment): Replaced {
  if (!text.includes("$")) return { text, changed: false, problems: [] };
  const problems: VariableProblem[] = [];
  let out = "";
  let i = 0;
  while (i < text.length) {
    const at = text.indexOf("$", i);
    if (at < 0) break;
    out += text.slice(i, at);
    if (text[at + 1] === "$") {
      out += "$";
      i = at + 2;
      continue;
    }
    if (text[at + 1] !== "{") {
      out += "$";
      i = at + 1;
      continue;
    }
    const end = endOfVariable(text, at);
    const whole = end < 0 ? text.slice(at, at + 2) : text.slice(at, end);
    const problem = (code: VariableProblem["code"], message: string, hint: string) =>
      problems.push({ code, index: at, length: whole.length, message, hint });
    const match =
      end < 0 ? null : /^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])(.*))?$/s.exec(whole.slice(2, -1));
    if (match === null) {
      problem(
        "BAD_VALUE",
        end < 0 ? "`${` without its `}`" : `\`${whole}\` is not a variable`,
        "write `${NAME}` or `${NAME:-default}`; a dollar sign that is meant as such (for a shell) is written `$$`",
      );
      i = end < 0 ? at + 2 : end;
      continue;
    }
    i = end;
    const [, name = "", operator, rest = ""] = match;
    const value = env[name];
    const set = value !== undefined && !(operator?.startsWith(":") && value === "");
    const nested = () => {
      const inner = replaceVariables(rest, env);
      problems.push(...inner.problems.map((p) => ({ ...p, index: at, length: whole.length })));
      return inner.text;
    };
    if (operator?.endsWith("+")) out += set ? nested() : "";
    else if (set) out += value;
    else if (operator?.endsWith("-")) out += nested();
    else {
      const said = operator?.endsWith("?") && rest !== "" ? `: ${rest}` : "";
      problem(
        "UNDEFINED_VARIABLE",
        `the environment has no variable \`${name}\`${said}`,
        `set it, or give a default: \`\${${name}:-default}\`; for a shell's own variable write \`$\${${name}}\``,
      );
    }
  }
  return { text: out + text.slice(i), changed: true, problems };
}
