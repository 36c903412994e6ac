/** What the readers of the parts of a topology share: the tree, what is wrong in it, and places. */

import { dirname, resolve } from "node:path";
import type { Problems } from "./problems.ts";
import type { Source, Span } from "./source.ts";
import type { UsedFeature } from "./topology.ts";
import type { Entry, ListNode, MapNode, Node, ScalarNode } from "./tree.ts";

export class Reading {
  readonly source: Source;
  readonly problems: Problems;
  /** JSON pointers of nodes that the schema found wrong: read nothing from them. */
  readonly bad: ReadonlySet<string>;
  readonly used: UsedFeature[] = [];
  readonly #usedAt = new Set<string>();
  /** Guests of which something was not understood: what would follow from it is not complained of. */
  readonly incomplete = new Set<string>();

  constructor(source: Source, problems: Problems, bad: ReadonlySet<string>) {
    this.source = source;
    this.problems = problems;
    this.bad = bad;
  }

  isBad(node: Node): boolean {
    return this.bad.has(node.path);
  }

  /** The node of a key; undefined where it is absent, empty or wrong. */
  get(map: MapNode | undefined, key: string): Node | undefined {
    const node = map?.entries.get(key)?.value;
    if (node === undefined || this.isBad(node)) return undefined;
    return node.kind === "scalar" && node.value === null ? undefined : node;
  }

  map(map: MapNode | undefined, key: string): MapNode | undefined {
    return asMap(this.get(map, key));
  }

  scalar(map: MapNode | undefined, key: string): ScalarNode | undefined {
    return asScalar(this.get(map, key));
  }

  text(map: MapNode | undefined, key: string): string | undefined {
    return this.scalar(map, key)?.text;
  }

  boolean(map: MapNode | undefined, key: string): boolean | undefined {
    const value = this.scalar(map, key)?.value;
    return typeof value === "boolean" ? value : undefined;
  }

  number(map: MapNode | undefined, key: string): number | undefined {
    const value = this.scalar(map, key)?.value;
    return typeof value === "number" ? value : undefined;
  }

  /** The right items of a list. */
  items(node: Node | undefined): readonly Node[] {
    return node?.kind === "list" ? node.items.filter((item) => !this.isBad(item)) : [];
  }

  /** The right entries of a map. */
  entries(node: Node | undefined): readonly Entry[] {
    if (node?.kind !== "map") return [];
    return [...node.entries.values()].filter((entry) => !this.isBad(entry.value));
  }

  /** Remembers that the file uses a feature, for `notYet`. */
  use(feature: string, span: Span): void {
    const key = `${feature}:${span.start}`;
    if (this.#usedAt.has(key)) return;
    this.#usedAt.add(key);
    this.used.push({
      feature,
      at: this.source.position(span.start),
      excerpt: this.source.excerpt(span),
    });
  }

  /** A path of the file, which is relative to the folder that it stands in. */
  resolvePath(path: string): string {
    return resolve(dirname(this.source.file), path);
  }
}

export const asMap = (node: Node | undefined): MapNode | undefined =>
  node?.kind === "map" ? node : undefined;

export const asList = (node: Node | undefined): ListNode | undefined =>
  node?.kind === "list" ? node : undefined;

export const asScalar = (node: Node | undefined): ScalarNode | undefined =>
  node?.kind === "scalar" ? node : undefined;
