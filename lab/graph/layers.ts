/**
 * Networks that are built in layers, as fat trees, leaves and spines, and trees of switches are: the
 * hosts at the bottom, each layer above it no wider than the one below. They are drawn as such,
 * though cables may cross.
 */

import type { LayoutEdge, LayoutNode, Point } from "./layout.ts";

/**
 * How far above the nearest host each node is; undefined where the network has no layers: where a
 * cable joins two of one layer or skips one, where switches and routers mix, or where it is a line.
 */
export function layersOf(
  nodes: readonly LayoutNode[],
  edges: readonly LayoutEdge[],
): ReadonlyMap<string, number> | undefined {
  const neighbours = new Map<string, string[]>(nodes.map(({ name }) => [name, []]));
  for (const { ends } of edges) {
    neighbours.get(ends[0])?.push(ends[1]);
    neighbours.get(ends[1])?.push(ends[0]);
  }
  const degree = (name: string) => neighbours.get(name)?.length ?? 0;
  if (nodes.every(({ name }) => degree(name) <= 2)) return undefined;

  const layers = new Map<string, number>();
  let layer = nodes.filter(({ name, kind }) => kind === "guest" && degree(name) === 1);
  if (new Set(nodes.filter((node) => !layer.includes(node)).map(({ kind }) => kind)).size !== 1) {
    return undefined;
  }
  const byName = new Map(nodes.map((node) => [node.name, node]));
  let below = Number.POSITIVE_INFINITY;
  for (let height = 0; layer.length > 0; height++) {
    if (layer.length > below) return undefined;
    below = layer.length;
    for (const { name } of layer) layers.set(name, height);
    const next = new Set(layer.flatMap(({ name }) => neighbours.get(name) ?? []));
    layer = [...next]
      .filter((name) => !layers.has(name))
      .map((name) => byName.get(name) as LayoutNode);
  }
  const heightOf = (name: string) => layers.get(name) ?? Number.NaN;
  const steps = edges.map(({ ends: [a, b] }) => Math.abs(heightOf(a) - heightOf(b)));
  const highest = Math.max(...layers.values());
  return steps.every((step) => step === 1) && highest >= 2 ? layers : undefined;
}

const LAYER_HEIGHT = 150;
const GAP = 24;

/** Each layer as wide as the lowest, its nodes evenly spread, each above the nodes it is cabled to. */
export function placeLayers(
  layers: ReadonlyMap<string, number>,
  nodes: readonly LayoutNode[],
  edges: readonly LayoutEdge[],
): Map<string, Point> {
  const lowest = nodes.filter(({ name }) => layers.get(name) === 0);
  const width = lowest.length * (GAP + Math.max(...lowest.map((node) => node.width)));
  const at = new Map<string, Point>();
  for (let height = 0; ; height++) {
    const layer = nodes.filter(({ name }) => layers.get(name) === height);
    if (layer.length === 0) return new Map(nodes.map(({ name }) => [name, at.get(name) as Point]));
    const above = layer.map(({ name }) => {
      const below = edges.flatMap(({ ends: [a, b] }) => {
        const other = at.get(a === name ? b : b === name ? a : name);
        return other === undefined ? [] : [other.x];
      });
      return { name, x: below.reduce((sum, x) => sum + x, 0) / (below.length || 1) };
    });
    above.sort((a, b) => a.x - b.x);
    above.forEach(({ name }, i) => {
      at.set(name, { x: ((i + 0.5) / layer.length) * width, y: -height * LAYER_HEIGHT });
    });
  }
}
