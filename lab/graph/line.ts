/** A line of nodes, drawn as one, from the end that comes first in the file. */

import type { LayoutEdge, LayoutNode, Point } from "./layout.ts";

/** A longer one would not fit a page. */
const MOST = 7;

/** Undefined where the graph is no line. */
export function layOutLine(
  nodes: readonly LayoutNode[],
  edges: readonly LayoutEdge[],
): Map<string, Point> | undefined {
  if (edges.length !== nodes.length - 1 || nodes.length > MOST) return undefined;
  const edgesOf = (name: string) => edges.filter(({ ends }) => ends.includes(name));
  const first = nodes.find(({ name }) => edgesOf(name).length === 1);
  if (first === undefined || nodes.some(({ name }) => edgesOf(name).length > 2)) return undefined;
  const at = new Map<string, Point>([[first.name, { x: 0, y: 0 }]]);
  const step = (here: LayoutNode, x: number): void => {
    const edge = edgesOf(here.name).find(({ ends }) => ends.some((end) => !at.has(end)));
    const next = nodes.find(({ name }) => !at.has(name) && edge?.ends.includes(name));
    if (edge === undefined || next === undefined) return;
    const further = x + here.width / 2 + edge.length + next.width / 2;
    at.set(next.name, { x: further, y: 0 });
    step(next, further);
  };
  step(first, 0);
  return at.size === nodes.length ? at : undefined;
}
