/**
 * The tree against the JSON Schema. `ajv` finds what is wrong; here that is boiled down to one
 * error for each mistake: of a choice (`anyOf`) only the branch that the value's type points to is
 * heard, and where none does, one sentence says what may stand there.
 *
 * Most files are right, and `ajv` takes longer to load and to compile the schema than all the rest of
 * the reading. So the build compiles it once (`compile-schema.ts`) to code that tells right from
 * wrong, and only what is wrong brings `ajv` itself.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Ajv2020, ErrorObject, ValidateFunction } from "ajv/dist/2020.js";
import { packageRoot } from "../../base/package-root.ts";
import { closest } from "../../base/similar.ts";
import { COMPILED_SCHEMA, type CompiledSchema } from "./compiled-schema.ts";
import { KINDS } from "./kinds.ts";
import type { Problems } from "./problems.ts";
import { childPath, type MapNode, type Node, spanIn, type Tree, toPlain } from "./tree.ts";

interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly type?: string | readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly examples?: readonly unknown[];
  readonly [keyword: string]: unknown;
}

export const schemaFile: string = join(packageRoot, "topologies", "topology.schema.json");

const require = createRequire(import.meta.url);

const isOfKind = (kind: string, text: string): boolean => KINDS[kind]?.examine(text) === undefined;

let loaded:
  | { readonly schema: Schema; readonly ajv: Ajv2020; readonly validate: ValidateFunction }
  | undefined;
const branchValidators = new Map<Schema, ValidateFunction>();

function load() {
  if (loaded === undefined) {
    const { Ajv2020: Ajv } = require("ajv/dist/2020.js") as typeof import("ajv/dist/2020.js");
    const schema = JSON.parse(readFileSync(schemaFile, "utf8")) as Schema;
    const ajv = new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true });
    ajv.addKeyword({
      keyword: "x-kind",
      type: "string",
      schemaType: "string",
      validate: isOfKind,
    });
    ajv.addKeyword({ keyword: "x-expected", schemaType: "string" });
    loaded = { schema, ajv, validate: ajv.compile(schema) };
  }
  return loaded;
}

/** What the build made of the schema; undefined where it wasn't built, or the schema is another. */
function compiled(): ((data: unknown) => boolean) | undefined {
  try {
    const made = require(`./${COMPILED_SCHEMA}`) as CompiledSchema;
    if (made.schema !== readFileSync(schemaFile, "utf8")) return undefined;
    return (data) => made.call(isOfKind, data);
  } catch {
    return undefined;
  }
}

/** The schema behind `$ref: "#/$defs/…"`, as far as it goes. */
function deref(schema: Schema): Schema {
  let at = schema;
  while (at.$ref !== undefined) {
    let found: unknown = load().schema;
    for (const part of at.$ref.slice(2).split("/"))
      found = (found as Record<string, unknown>)[part];
    at = found as Schema;
  }
  return at;
}

/** What people who come from elsewhere write, and what it is called here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  nodes: "guests",
  hosts: "guests",
  machines: "guests",
  devices: "guests",
  services: "guests",
  networks: "switches",
  bridges: "switches",
  edges: "links",
  cables: "links",
  endpoints: "ends",
  ip: "interfaces",
  ipv4: "interfaces",
  addresses: "interfaces",
  address: "interfaces",
  ram: "memory",
  mem: "memory",
  exec: "run",
  commands: "run",
  environment: "env",
  sysctls: "sysctl",
  volumes: "files",
  binds: "files",
  bandwidth: "rate",
  latency: "delay",
  drop: "loss",
  forwarding: "forward",
  router: "forward",
  vlans: "trunk",
};

/** What a key from elsewhere, also a misspelt one, is called among `known`. */
function calledHere(key: string, known: readonly string[]): string | undefined {
  const foreign = closest(
    key,
    Object.keys(ELSEWHERE).filter((name) => known.includes(ELSEWHERE[name] ?? "")),
  );
  return foreign === undefined ? undefined : ELSEWHERE[foreign];
}

/**
 * @returns JSON pointers of nodes that are wrong. Whoever reads on skips them: what they would
 * have said is not known.
 */
export function checkSchema({ root, unreplaced }: Tree, problems: Problems): Set<string> {
  const bad = new Set<string>(unreplaced);
  if (compiled()?.(toPlain(root, new Set())) === true) return bad;
  examine(root, load().validate, problems, bad);
  return bad;
}

/** The same of an assignment, which has the topology's schema for what is expected. */
export function checkAssignmentSchema({ root, unreplaced }: Tree, problems: Problems): Set<string> {
  const bad = new Set<string>(unreplaced);
  const { ajv, schema } = load();
  const file = join(packageRoot, "topologies", "assignment.schema.json");
  const text = readFileSync(file, "utf8").replaceAll("topology.schema.json#", "#");
  const validate = ajv.compile({ ...JSON.parse(text), $defs: schema.$defs });
  examine(root, validate, problems, bad);
  return bad;
}

function examine(
  root: Node,
  validate: ValidateFunction,
  problems: Problems,
  bad: Set<string>,
): void {
  // `description: ${N}` with N=5 is a text, as it is for Compose: where a text is wanted, it is one.
  const asText = new Set<string>();
  if (!validate(toPlain(root, asText))) {
    for (const { keyword, instancePath, parentSchema } of validate.errors ?? []) {
      if (keyword !== "type" || ![parentSchema?.type].flat().includes("string")) continue;
      const { node } = find(root, instancePath);
      if (node.kind === "scalar" && node.replaced && node.value !== null) asText.add(node.path);
    }
  }
  collect(validate, toPlain(root, asText), "", root, problems, bad);
}

function collect(
  validate: ValidateFunction,
  data: unknown,
  base: string,
  tree: Node,
  problems: Problems,
  bad: Set<string>,
): void {
  if (validate(data)) return;
  const errors = validate.errors ?? [];
  const choices = new Map<string, ErrorObject>();
  for (const error of errors) {
    if (error.keyword !== "anyOf") continue;
    const path = error.instancePath;
    const inside = [...choices.keys()].some((outer) => isAtOrUnder(path, outer));
    if (inside) continue;
    for (const inner of choices.keys()) if (isAtOrUnder(inner, path)) choices.delete(inner);
    choices.set(path, error);
  }
  const ofChoice = (path: string) => [...choices.keys()].some((outer) => isAtOrUnder(path, outer));
  const seen = new Set<string>();
  for (const error of errors) {
    if (ofChoice(error.instancePath)) continue;
    // One value, one error: the first that says what it is (`x-kind` before `pattern`).
    const place = `${error.instancePath} ${error.propertyName ?? error.params.missingProperty ?? error.params.additionalProperty ?? ""}`;
    const kindAt = errors.some(
      (other) =>
        other.keyword === "x-kind" &&
        other.instancePath === error.instancePath &&
        other.propertyName === error.propertyName,
    );
    if (kindAt && error.keyword !== "x-kind") continue;
    if (error.keyword === "propertyNames" || seen.has(place)) continue;
    seen.add(place);
    report(error, base, tree, problems, bad);
  }
  for (const [path, error] of choices) {
    const branches = (error.schema as Schema[]).map(deref);
    const type = jsonType(error.data);
    const fitting = branches.filter((branch) => allows(branch, type));
    const [branch] = fitting;
    if (fitting.length === 1 && branch !== undefined) {
      let inner = branchValidators.get(branch);
      if (inner === undefined) {
        const { ajv, schema } = load();
        inner = ajv.compile({ ...branch, $defs: schema.$defs });
        branchValidators.set(branch, inner);
      }
      collect(inner, error.data, base + path, tree, problems, bad);
    } else {
      report(error, base, tree, problems, bad);
    }
  }
}

const isAtOrUnder = (path: string, outer: string) => path === outer || path.startsWith(`${outer}/`);

function jsonType(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

function allows(schema: Schema, type: string): boolean {
  const types = schema.type === undefined ? [] : [schema.type].flat();
  return types.includes(type) || (type === "integer" && types.includes("number"));
}

/** The node at a pointer, and the key that leads to it. */
function find(tree: Node, pointer: string): { node: Node; keyOf: Node } {
  let node = tree;
  let keyOf: Node = tree;
  for (const part of pointer.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (node.kind === "map") {
      const entry = node.entries.get(name);
      if (entry === undefined) break;
      keyOf = entry.key;
      node = entry.value;
    } else if (node.kind === "list") {
      const item = node.items[Number(name)];
      if (item === undefined) break;
      node = item;
      keyOf = item;
    }
  }
  return { node, keyOf };
}

function report(
  error: ErrorObject,
  base: string,
  tree: Node,
  problems: Problems,
  bad: Set<string>,
) {
  const path = base + error.instancePath;
  // Its variable is unknown: that was told.
  if (bad.has(path) && error.keyword !== "required") return;
  const { node, keyOf } = find(tree, path);
  const parent = (error.parentSchema ?? {}) as Schema;
  const keyName = keyNameOf(path);
  const value = shown(node);
  switch (error.keyword) {
    case "additionalProperties": {
      const key = error.params.additionalProperty as string;
      const known = Object.keys(parent.properties ?? {});
      const entry = (node as MapNode).entries.get(key);
      bad.add(childPath(path, key));
      const near = closest(key, known) ?? calledHere(key, known);
      problems.add(
        "UNKNOWN_KEY",
        entry?.key ?? node,
        `unknown key \`${key}\`${near === undefined ? "" : `; did you mean \`${near}\`?`}`,
        `the keys here are ${known.map((name) => `\`${name}\``).join(", ")}`,
      );
      return;
    }
    case "required": {
      const key = error.params.missingProperty as string;
      bad.add(childPath(path, key));
      // A misspelt key was told already; the missing one is the same mistake.
      if (node.kind === "map" && misspelt(node, key, parent)) return;
      const what = path === "" ? ofTheFile(parent) : keyName === "" ? "this" : `\`${keyName}\``;
      problems.add(
        "SCHEMA",
        path === "" ? node : keyOf,
        `${what} has no \`${key}\``,
        MISSING_HINTS[key] ?? `add \`${key}:\``,
      );
      return;
    }
    case "x-kind": {
      const text = error.data as string;
      const kind = KINDS[error.schema as string];
      const wrong = kind?.examine(text);
      if (kind === undefined || wrong === undefined) return;
      if (error.propertyName === undefined) {
        bad.add(path);
        const at =
          node.kind === "scalar" && wrong.index !== undefined
            ? spanIn(node, wrong.index, text.length - wrong.index)
            : node;
        problems.add(wrong.code ?? kind.code, at, wrong.message, wrong.hint);
      } else {
        const entry = node.kind === "map" ? node.entries.get(error.propertyName) : undefined;
        bad.add(childPath(path, error.propertyName));
        problems.add(kind.code, entry?.key ?? node, wrong.message, wrong.hint);
      }
      return;
    }
  }
  bad.add(path);
  const subject = keyName === "" ? "this" : `\`${keyName}\``;
  const at =
    node.start === node.end || (node.kind === "scalar" && node.value === null) ? keyOf : node;
  switch (error.keyword) {
    case "enum": {
      const choices = (error.schema as unknown[]).map(String);
      const near = closest(String(error.data), choices);
      problems.add(
        "BAD_VALUE",
        at,
        `${subject} cannot be ${value}${near === undefined ? "" : `; did you mean \`${near}\`?`}`,
        `write ${choices.map((choice) => `\`${choice}\``).join(" or ")}`,
      );
      return;
    }
    case "minimum":
    case "maximum": {
      const low = parent.minimum as number | undefined;
      const high = parent.maximum as number | undefined;
      const range =
        low !== undefined && high !== undefined
          ? `a number from ${low} to ${high}`
          : low !== undefined
            ? `${low} or more`
            : `${high} or less`;
      problems.add("BAD_VALUE", at, `${subject} cannot be ${value}`, `it is ${range}`);
      return;
    }
    case "minItems":
    case "maxItems": {
      const items = node.kind === "list" ? node.items.length : 0;
      const ends = parent.items !== undefined && (parent.items as Schema).$ref === "#/$defs/end";
      if (ends) {
        problems.add(
          "SCHEMA",
          at,
          `a link has two ends, this has ${items}`,
          "write `[a, b]`; more than two guests meet at a switch",
        );
      } else {
        const most = parent.maxItems as number | undefined;
        problems.add(
          "SCHEMA",
          at,
          `${subject} has ${items} ${items === 1 ? "entry" : "entries"}`,
          most === undefined ? "write at least one" : `write at most ${most}`,
        );
      }
      return;
    }
    case "minProperties":
      problems.add("SCHEMA", at, `${subject} is empty`, "declare at least one: `alice: {}`");
      return;
    case "minLength":
      problems.add("SCHEMA", at, `${subject} is empty`, "write something, or leave the key away");
      return;
    default: {
      const expected = expectation(parent);
      problems.add(
        "SCHEMA",
        at,
        `${subject} cannot be ${value}`,
        hintForType(expected, node, parent),
      );
    }
  }
}

const ofTheFile = ({ title }: Schema): string =>
  typeof title === "string" && /assignment/.test(title) ? "the assignment" : "the topology";

const MISSING_HINTS: Readonly<Record<string, string>> = {
  name: "begin with a name for the lab: `name: my-lab`",
  guests: "declare the guests: `guests: { alice: {}, bob: {} }`",
  ends: "name the two ends: `ends: [alice, bob]`",
  on: "name the guest that runs it: `on: alice`",
  run: 'say what it runs: `run: "ping -c1 bob"`',
  at: "say when: `at: 10s`",
};

function misspelt(node: MapNode, key: string, parent: Schema): boolean {
  const known = Object.keys(parent.properties ?? {});
  return [...node.entries.keys()].some(
    (name) => !known.includes(name) && (closest(name, known) ?? calledHere(name, known)) === key,
  );
}

/** `alice` of `/guests/alice`, `links[2]` of `/links/2`. */
function keyNameOf(path: string): string {
  const parts = path
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = parts.at(-1);
  if (last === undefined) return "";
  if (!/^\d+$/.test(last)) return last;
  const owner = parts.at(-2);
  return owner === undefined ? last : `${owner}[${last}]`;
}

/** A value as an error names it. */
function shown(node: Node): string {
  if (node.kind === "map") return "a map";
  if (node.kind === "list") return "a list";
  if (node.value === null) return "empty";
  const text = node.text.length > 40 ? `${node.text.slice(0, 40)}…` : node.text;
  if (typeof node.value === "string") return `the text \`${text}\``;
  return typeof node.value === "number" ? `the number ${text}` : `\`${text}\``;
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: "a map (`key: value`)",
  array: "a list (`[a, b]`)",
  string: "a text",
  integer: "a whole number",
  number: "a number",
  boolean: "`true` or `false`",
};

function expectation(schema: Schema): string {
  const own = schema["x-expected"];
  if (typeof own === "string") return own;
  const examples = schema.examples?.map((example) => `\`${example}\``).join(", ");
  const types = [schema.type ?? []].flat().filter((type) => type !== "null");
  const named = types.map((type) => TYPE_NAMES[type] ?? type).join(" or ");
  return examples === undefined ? named : `${named} such as ${examples}`;
}

function hintForType(expected: string, node: Node, parent: Schema): string {
  if (node.kind === "scalar" && [parent.type].flat().includes("boolean")) {
    if (/^(yes|on|y|1|enabled?)$/i.test(node.text)) return "write `true`";
    if (/^(no|off|n|0|disabled?)$/i.test(node.text)) return "write `false`";
    if (typeof node.value === "string" && /^(true|false)$/i.test(node.text)) {
      return `write \`${node.text.toLowerCase()}\` without quotes`;
    }
  }
  if (
    node.kind === "scalar" &&
    typeof node.value === "string" &&
    [parent.type].flat().includes("integer") &&
    /^-?\d+$/.test(node.text)
  ) {
    return `write \`${node.text}\` without quotes`;
  }
  const listOfTexts = parent["x-expected"] === undefined && [parent.type].flat().includes("array");
  if (node.kind === "scalar" && node.value !== null && listOfTexts) {
    return `write a list: \`[${JSON.stringify(node.text)}]\``;
  }
  if (node.kind === "scalar" && typeof node.value === "number") {
    const name = parent["x-kind"];
    if (name === "duration") return `add the unit: \`${node.text}ms\` or \`${node.text}s\``;
    const wrong = typeof name === "string" ? KINDS[name]?.examine(node.text) : undefined;
    const meant = /did you mean (`.*`)\?$/.exec(wrong?.message ?? "")?.[1];
    if (meant !== undefined) return `add the unit: ${meant}`;
    if (wrong !== undefined) return wrong.hint;
  }
  const scalar = node.kind === "scalar" && node.value !== null && typeof node.value !== "string";
  const kind = typeof parent["x-kind"] === "string" ? KINDS[parent["x-kind"]] : undefined;
  const right =
    kind === undefined || kind.examine(node.kind === "scalar" ? node.text : "") === undefined;
  if (scalar && right && [parent.type].flat().includes("string")) {
    return `quote it, so that it is a text: \`"${node.text}"\``;
  }
  return `write ${expected}`;
}
