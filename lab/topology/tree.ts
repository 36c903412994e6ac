/**
 * The file as a tree of maps, lists and scalars in which every node knows its place in the text
 * and its JSON pointer. YAML's own trouble (syntax, duplicate keys, several documents, tags) and
 * variables are dealt with here; what comes out is plain.
 */

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseAllDocuments,
  type Scalar,
  visit,
  type YAMLError,
} from "yaml";
import type { Problems } from "./problems.ts";
import type { Source, Span } from "./source.ts";
import { type Environment, replaceVariables, shield } from "./variables.ts";

export type Plain = string | number | boolean | null;

interface NodeBase extends Span {
  /** JSON pointer: `/guests/alice/gateway`. */
  readonly path: string;
}

export interface ScalarNode extends NodeBase {
  readonly kind: "scalar";
  readonly value: Plain;
  /** As written (`0755`), after replacement of variables. */
  readonly text: string;
  /** Offset of the text's first character, where the file shows it unchanged. */
  readonly textStart: number | undefined;
  /** A variable gave it its text, so its type is a guess: `5` may be meant as a text. */
  readonly replaced: boolean;
}

export interface Entry {
  readonly key: ScalarNode;
  readonly value: Node;
}

export interface MapNode extends NodeBase {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, Entry>;
}

export interface ListNode extends NodeBase {
  readonly kind: "list";
  readonly items: readonly Node[];
}

export type Node = ScalarNode | MapNode | ListNode;

/** Aliases can multiply: a lab with more nodes than this is no lab. */
const MOST_NODES = 200_000;

export const childPath = (path: string, key: string | number): string =>
  `${path}/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`;

/** The place of `length` characters of a scalar, or all of it where the file shows it otherwise. */
export function spanIn(node: ScalarNode, index: number, length: number): Span {
  if (node.textStart === undefined) return node;
  const start = node.textStart + index;
  return { start, end: start + Math.max(1, length) };
}

/** Plain JavaScript values, for the schema. @param asText pointers of scalars taken as texts. */
export function toPlain(node: Node, asText: ReadonlySet<string>): unknown {
  if (node.kind === "scalar") return asText.has(node.path) ? node.text : node.value;
  if (node.kind === "list") return node.items.map((item) => toPlain(item, asText));
  // No prototype: a key may be called `__proto__`.
  const object: Record<string, unknown> = Object.create(null);
  for (const [key, { value }] of node.entries) object[key] = toPlain(value, asText);
  return object;
}

export interface Tree {
  readonly root: Node;
  /** Pointers of scalars whose variables could not be replaced: their values mean nothing. */
  readonly unreplaced: ReadonlySet<string>;
}

/** Undefined where the file holds nothing to go on with; `problems` says why. */
export function readTree(source: Source, env: Environment, problems: Problems): Tree | undefined {
  const { text, unshield } = shield(source.text);
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    merge: true,
    version: "1.2",
  });
  const all = Array.isArray(documents) ? documents : [];
  const [first, second] = all;
  if (first === undefined || (all.length === 1 && isEmpty(first))) {
    problems.add(
      "YAML_SYNTAX",
      { start: 0, end: 1 },
      "the file is empty",
      "a topology begins with `name:` and `guests:`",
    );
    return undefined;
  }
  const errors = all.flatMap((document) => [...document.errors, ...document.warnings]);
  for (const error of independent(errors)) {
    const [start, end] = error.pos;
    const { message, hint } = explainSyntax(error, unshield);
    const opened = all
      .map((document) => unclosedQuote(document, error))
      .find((at) => at !== undefined);
    problems.add(
      "YAML_SYNTAX",
      opened ?? { start, end: Math.max(start + 1, end) },
      opened === undefined ? message : "this quote is never closed",
      hint,
    );
  }
  if (second !== undefined && errors.length === 0) {
    const start = second.range[0];
    const line = source.text.lastIndexOf("---", start);
    problems.add(
      "YAML_SYNTAX",
      line < 0 ? { start, end: start + 1 } : { start: line, end: line + 3 },
      "a second document starts here, and one file is one lab",
      "put it into a file of its own",
    );
  }
  const version = first.directives?.yaml;
  if (version?.explicit && version.version !== "1.2") {
    problems.add(
      "YAML_SYNTAX",
      { start: 0, end: 1 },
      `the file asks for YAML ${version.version}`,
      "topologies are YAML 1.2: remove the %YAML line",
    );
  }
  if (errors.length > 0) return undefined;
  return new TreeMaker(source, first, env, problems, unshield).make();
}

const isEmpty = (document: Document.Parsed): boolean =>
  document.errors.length === 0 &&
  (document.contents === null || (isScalar(document.contents) && document.contents.value === null));

/** The parser stumbles on after an error: of those on one line or the next, the first counts. */
function independent(errors: readonly YAMLError[]): YAMLError[] {
  const sorted = [...errors].sort((a, b) => a.pos[0] - b.pos[0]);
  const first = sorted[0];
  return first === undefined ? [] : [first];
}

/** Where the quote was opened that the parser missed the end of. */
function unclosedQuote(document: Document.Parsed, error: YAMLError): Span | undefined {
  if (error.code !== "MISSING_CHAR" || !error.message.includes("quote")) return undefined;
  let found: Span | undefined;
  visit(document, {
    Scalar(_, { type, range }) {
      if (!type?.startsWith("QUOTE") || !range) return;
      if (range[0] < error.pos[0] && error.pos[0] <= range[2]) {
        found = { start: range[0], end: range[0] + 1 };
      }
    },
  });
  return found;
}

const SYNTAX_HINTS: Partial<Record<YAMLError["code"], string>> = {
  TAB_AS_INDENT: "YAML is indented with spaces: replace the tab",
  BAD_INDENT: "indent keys of one map alike, and a map's content deeper than its key",
  MULTILINE_IMPLICIT_KEY: "a key and its `:` stand on one line; is a colon or a quote missing?",
  BLOCK_AS_IMPLICIT_KEY: "a map cannot start on this line; quote the value if it holds `: `",
  MISSING_CHAR: "look for a bracket, brace, comma or quote that is missing",
  UNEXPECTED_TOKEN: "look for a stray character, or quote the value",
  BAD_SCALAR_START: "quote the value: plain text cannot start with this character",
  BAD_ALIAS: '`*name` refers to an `&name` further up; quote `"*"` where a star is meant',
  TAG_RESOLVE_FAILED: "remove the tag: topologies need none",
  BAD_DQ_ESCAPE: "use single quotes where backslashes are meant as such: '\\d+'",
};

function explainSyntax(error: YAMLError, unshield: (text: string) => string) {
  const message = unshield(error.message).split("\n")[0]?.replace(/\.$/, "") ?? "not YAML";
  const flow = /^flow (sequence|map)/i.exec(error.message)?.[1];
  if (flow !== undefined && /indented/.test(error.message)) {
    const bracket = flow === "map" ? "}" : "]";
    return {
      message: `a \`${bracket}\` is missing before this line`,
      hint: `close the \`${bracket === "}" ? "{" : "["}\` of the lines above`,
    };
  }
  const hint = SYNTAX_HINTS[error.code] ?? "this is not YAML; compare it with the lines around it";
  return { message: message.charAt(0).toLowerCase() + message.slice(1), hint };
}

class TreeMaker {
  readonly #source: Source;
  readonly #document: Document.Parsed;
  readonly #env: Environment;
  readonly #problems: Problems;
  readonly #unshield: (text: string) => string;
  readonly #open = new Set<unknown>();
  readonly #unreplaced = new Set<string>();
  #nodes = 0;

  constructor(
    source: Source,
    document: Document.Parsed,
    env: Environment,
    problems: Problems,
    unshield: (text: string) => string,
  ) {
    this.#source = source;
    this.#document = document;
    this.#env = env;
    this.#problems = problems;
    this.#unshield = unshield;
  }

  make(): Tree {
    const root = this.#node(this.#document.contents as ParsedNode, "", { start: 0, end: 1 });
    return { root, unreplaced: this.#unreplaced };
  }

  /** @param place where to point at when there is nothing: the key of an empty value. */
  #node(node: ParsedNode | null, path: string, place: Span): Node {
    if (++this.#nodes > MOST_NODES) {
      if (this.#nodes === MOST_NODES + 1) {
        this.#problems.add(
          "YAML_SYNTAX",
          place,
          "the file is too large once its aliases are filled in",
          "use ranges such as `h1..50`",
        );
      }
      return this.#nothing(path, place);
    }
    if (node === null) return this.#nothing(path, place);
    const span = { start: node.range[0], end: node.range[1] };
    if (isAlias(node)) {
      const target = node.resolve(this.#document) as ParsedNode | undefined;
      if (target === undefined) {
        this.#problems.add(
          "YAML_SYNTAX",
          span,
          `\`*${node.source}\` refers to no \`&${node.source}\` further up`,
          'name an anchor that exists, or quote the value: `"*"`',
        );
        return this.#nothing(path, span);
      }
      if (this.#open.has(target)) {
        this.#problems.add(
          "YAML_SYNTAX",
          span,
          `the alias \`*${node.source}\` holds itself`,
          "write the value out",
        );
        return this.#nothing(path, span);
      }
      return this.#node(target, path, span);
    }
    if (isScalar(node)) return this.#scalar(node as Scalar.Parsed, path);
    this.#open.add(node);
    try {
      if (isSeq(node)) {
        const items = node.items.map((item, i) =>
          this.#node(item as ParsedNode, childPath(path, i), span),
        );
        return { kind: "list", path, ...span, items };
      }
      if (isMap(node)) {
        const entries = new Map<string, Entry>();
        const merges: Node[] = [];
        for (const pair of node.items) {
          const keyNode = pair.key as ParsedNode | null;
          if (keyNode !== null && !isScalar(keyNode)) {
            const at = { start: keyNode.range[0], end: keyNode.range[1] };
            this.#problems.add("YAML_SYNTAX", at, "a key must be a word", "write `key: value`");
            continue;
          }
          const key =
            keyNode === null
              ? (this.#nothing(path, span) as ScalarNode)
              : this.#scalar(keyNode as Scalar.Parsed, path);
          const name = key.text;
          const value = this.#node(pair.value as ParsedNode | null, childPath(path, name), key);
          if (name === "<<") {
            merges.push(...(value.kind === "list" ? value.items : [value]));
            continue;
          }
          const before = entries.get(name);
          if (before !== undefined) {
            this.#problems.add(
              "DUPLICATE_NAME",
              key,
              `\`${name}\` is here twice: it is in line ${this.#source.position(before.key.start).line} already`,
              "keep one of the two",
            );
            continue;
          }
          entries.set(name, { key: { ...key, path: childPath(path, name) }, value });
        }
        for (const merge of merges) {
          if (merge.kind !== "map") {
            this.#problems.add("YAML_SYNTAX", merge, "`<<` merges maps only", "write `<<: *name`");
            continue;
          }
          for (const [name, entry] of merge.entries) {
            if (!entries.has(name)) entries.set(name, moved(entry, childPath(path, name)));
          }
        }
        return { kind: "map", path, ...span, entries };
      }
    } finally {
      this.#open.delete(node);
    }
    return this.#nothing(path, span);
  }

  #nothing(path: string, { start, end }: Span): ScalarNode {
    return {
      kind: "scalar",
      path,
      start,
      end,
      value: null,
      text: "",
      textStart: undefined,
      replaced: false,
    };
  }

  #scalar(node: Scalar.Parsed, path: string): ScalarNode {
    const span = { start: node.range[0], end: node.range[1] };
    const plain = node.type === "PLAIN";
    const written =
      typeof node.value === "string" ? node.value : (node.source ?? String(node.value ?? ""));
    const before = this.#unshield(written);
    const offset = node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE" ? 1 : 0;
    const shown = (text: string) => this.#source.text.startsWith(text, span.start + offset);
    const textStart = shown(before) ? span.start + offset : undefined;
    const replaced = replaceVariables(before, this.#env);
    for (const { code, index, length, message, hint } of replaced.problems) {
      const at =
        textStart === undefined
          ? span
          : { start: textStart + index, end: textStart + index + length };
      this.#problems.add(code, at, message, hint);
    }
    if (replaced.problems.length > 0) this.#unreplaced.add(path);
    if (!replaced.changed) {
      // A number too large for JSON keeps its text; the schema then says what is expected.
      const value = typeof node.value === "bigint" ? String(node.value) : (node.value as Plain);
      return { kind: "scalar", path, ...span, value, text: before, textStart, replaced: false };
    }
    const { text } = replaced;
    // `forward: ${FORWARD:-true}` is a boolean, as if the value had been written there.
    const value = plain ? resolvePlain(text) : text;
    return { kind: "scalar", path, ...span, value, text, textStart: undefined, replaced: true };
  }
}

/** YAML's core schema for a plain scalar (YAML 1.2.2 §10.3.2). */
function resolvePlain(text: string): Plain {
  if (/^(?:~|null|Null|NULL|)$/.test(text)) return null;
  if (/^(?:true|True|TRUE)$/.test(text)) return true;
  if (/^(?:false|False|FALSE)$/.test(text)) return false;
  if (/^[-+]?(?:\d+|(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?)$/.test(text)) return Number(text);
  return text;
}

/** An entry of a merged map, at its new place in the tree (positions stay where it is written). */
function moved(entry: Entry, path: string): Entry {
  const move = (node: Node, to: string): Node => {
    if (node.kind === "scalar") return { ...node, path: to };
    if (node.kind === "list") {
      return {
        ...node,
        path: to,
        items: node.items.map((item, i) => move(item, childPath(to, i))),
      };
    }
    const entries = new Map<string, Entry>();
    for (const [name, { key, value }] of node.entries) {
      const at = childPath(to, name);
      entries.set(name, { key: { ...key, path: at }, value: move(value, at) });
    }
    return { ...node, path: to, entries };
  };
  return { key: { ...entry.key, path }, value: move(entry.value, path) };
}
