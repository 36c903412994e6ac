/** Guests and switches by name: declared once, looked up with advice. */

import { closest } from "../../base/similar.ts";
import { expand, parseRange } from "./ranges.ts";
import type { Reading } from "./reading.ts";
import type { Span } from "./source.ts";
import { type MapNode, type Node, type ScalarNode, spanIn } from "./tree.ts";

export interface Declared {
  readonly kind: "guest" | "switch";
  readonly name: string;
  /** Where its name stands. */
  readonly key: ScalarNode;
  readonly body: MapNode | undefined;
}

export class Names {
  readonly #reading: Reading;
  readonly #declared = new Map<string, Declared>();
  /** Names declared in a wrong way: known, so that each use is not a second error. */
  readonly #ghosts = new Set<string>();
  /** Whole lists that could not be read: then nothing is known to be unknown. */
  readonly #unread = new Set<Declared["kind"]>();

  constructor(reading: Reading, top: MapNode) {
    this.#reading = reading;
    for (const [kind, key] of [
      ["guest", "guests"],
      ["switch", "switches"],
    ] as const) {
      const node = top.entries.get(key)?.value;
      // A missing `guests` (or a misspelt key) is one error, not one for each name.
      if (kind === "guest" && node === undefined) this.#unread.add(kind);
      if (node === undefined) {
        const misspelt = [...top.entries.keys()].some((name) => reading.bad.has(`/${name}`));
        if (misspelt) this.#unread.add(kind);
        continue;
      }
      if (reading.isBad(node)) this.#unread.add(kind);
      else this.#declareAll(kind, node);
    }
  }

  #declareAll(kind: Declared["kind"], node: Node): void {
    if (node.kind === "map") {
      for (const { key, value } of node.entries.values()) {
        const body = value.kind === "map" ? value : undefined;
        if (this.#reading.isBad(value)) {
          for (const name of expand(key.text, 1000)) this.#ghosts.add(name);
          this.#ghosts.add(key.text);
        } else this.#declare(kind, key, body);
      }
    } else if (node.kind === "list") {
      for (const item of node.items) {
        if (item.kind !== "scalar") this.#unread.add(kind);
        else if (this.#reading.isBad(item)) this.#ghosts.add(item.text);
        else this.#declare(kind, item, undefined);
      }
    }
  }

  #declare(kind: Declared["kind"], key: ScalarNode, body: MapNode | undefined): void {
    for (const name of expand(key.text)) {
      const before = this.#declared.get(name);
      if (before === undefined) {
        this.#declared.set(name, { kind, name, key, body });
        continue;
      }
      const line = this.#reading.source.position(before.key.start).line;
      this.#reading.problems.add(
        "DUPLICATE_NAME",
        key,
        before.kind === kind
          ? `the ${kind} \`${name}\` is declared twice: first in line ${line}`
          : `\`${name}\` is a ${before.kind} already (line ${line})`,
        before.kind === kind &&
          parseRange(key.text) === undefined &&
          parseRange(before.key.text) === undefined
          ? "keep one of the two"
          : before.kind === kind
            ? "split the range, so that each name is in one of them"
            : "give one of them another name",
      );
    }
  }

  get guests(): Declared[] {
    return [...this.#declared.values()].filter(({ kind }) => kind === "guest");
  }

  get switches(): Declared[] {
    return [...this.#declared.values()].filter(({ kind }) => kind === "switch");
  }

  find(name: string): Declared | undefined {
    return this.#declared.get(name);
  }

  /** Declared in a way that was complained of, or possibly in a part that could not be read. */
  mayExist(name: string, kinds: readonly Declared["kind"][]): boolean {
    return this.#ghosts.has(name) || kinds.some((kind) => this.#unread.has(kind));
  }

  /** The guest or switch that a wrong name may have meant. */
  closest(name: string, kinds: readonly Declared["kind"][]): string | undefined {
    return closest(
      name,
      [...this.#declared.values()].filter(({ kind }) => kinds.includes(kind)).map((d) => d.name),
    );
  }

  /** A guest by its name or a range of them; what is unknown is reported. */
  guestsOf(text: string, at: Span): string[] {
    return this.lookUp(text, at, ["guest"]).map(({ name }) => name);
  }

  /** A name or range to what it names; what is unknown is reported, once for a range. */
  lookUp(text: string, at: Span, kinds: readonly Declared["kind"][]): Declared[] {
    const what = kinds.join(" or ");
    const found: Declared[] = [];
    for (const name of expand(text)) {
      const declared = this.#declared.get(name);
      if (declared !== undefined && kinds.includes(declared.kind)) {
        found.push(declared);
      } else if (declared !== undefined) {
        this.#reading.problems.add(
          "UNKNOWN_NAME",
          at,
          `\`${name}\` is a ${declared.kind}`,
          `only a ${what} can stand here`,
        );
      } else if (!this.mayExist(name, kinds)) {
        const known = [...this.#declared.values()].filter(({ kind }) => kinds.includes(kind));
        const near = this.closest(name, kinds);
        this.#reading.problems.add(
          "UNKNOWN_NAME",
          at,
          near === undefined
            ? `unknown ${what} \`${name}\``
            : `unknown ${this.#declared.get(near)?.kind} \`${name}\`; did you mean \`${near}\`?`,
          `${listed(known)}; declare \`${name}\` or name one of them`,
        );
      }
    }
    return found;
  }
}

function listed(known: readonly Declared[]): string {
  if (known.length === 0) return "none is declared";
  const keys = [...new Set(known.map(({ key }) => key.text))];
  const shown = keys.slice(0, 8).map((key) => `\`${key}\``);
  return `declared are ${shown.join(", ")}${keys.length > 8 ? ", …" : ""}`;
}

/** The place of a name within a scalar. */
export const nameSpan = (node: ScalarNode, index: number, name: string): Span =>
  spanIn(node, index, name.length);
