/** A star of many: its points on a circle, in order, from the top clockwise; on two where one is too wide. */

import type { LayoutEdge, LayoutNode, Point } from "./layout.ts";

/** Fewer are laid out well as any graph is. */
const LEAST = 9;
/** More stand on two circles, alternating. */
const ONE_CIRCLE = 24;
const GAP = 22;

/** Undefined where the graph is no star of many. */
export function layOutStar(
  nodes: readonly LayoutNode[],
  edges: readonly LayoutEdge[],
): Map<string, Point> | undefined {
  const points = nodes.length - 1;
  if (points < LEAST || edges.length !== points) return undefined;
  const middle = edges[0]?.ends.find((name) => edges.every(({ ends }) => ends.includes(name)));
  if (middle === undefined) return undefined;
  const leaves = nodes.filter(({ name }) => name !== middle);
  const width = Math.max(...leaves.map((node) => node.width)) + GAP;
  const circles = points > ONE_CIRCLE ? 2 : 1;
  const longest = Math.max(...edges.map(({ length }) => length));
  const radius = Math.max((width * points) / circles / (2 * Math.PI), longest + width);
  const at = new Map<string, Point>([[middle, { x: 0, y: 0 }]]);
  leaves.forEach(({ name }, i) => {
    const angle = (2 * Math.PI * i) / points - Math.PI / 2;
    const away = radius + (circles === 2 && i % 2 === 0 ? width : 0);
    at.set(name, { x: away * Math.cos(angle), y: away * Math.sin(angle) });
  });
  return at;
}
