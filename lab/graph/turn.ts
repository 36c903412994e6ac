/**
 * Turns and mirrors a layout: forces leave a graph standing at any angle, and people draw it level,
 * with what comes first at the top left. Distances stay as they are.
 */

import type { Point } from "./layout.ts";

/** As many edges as can be lie level or upright; the first nodes stand top left; wide, not tall. */
export function turnLevel(
  at: ReadonlyMap<string, Point>,
  edges: readonly (readonly [string, string])[],
): Map<string, Point> {
  const level = turned(at, -slantOf(at, edges).angle);
  let best: { readonly at: Map<string, Point>; readonly score: number } | undefined;
  for (const quarter of [0, 1, 2, 3]) {
    for (const mirror of [1, -1]) {
      const side = turned(
        new Map([...level].map(([name, { x, y }]) => [name, { x: x * mirror, y }])),
        (quarter * Math.PI) / 2,
      );
      const score = readingOrder(side);
      if (best === undefined || score > best.score + 1e-6) best = { at: side, score };
    }
  }
  return best?.at ?? level;
}

/**
 * The angle by which the edges are off, between -45 and 45 degrees, and how far they agree on it, 0
 * to 1. Four times an edge's angle is the same for all edges of a grid; the mean of those angles
 * weighs edges by their length.
 */
export function slantOf(
  at: ReadonlyMap<string, Point>,
  edges: readonly (readonly [string, string])[],
): { readonly angle: number; readonly agreement: number } {
  let [sin, cos, all] = [0, 0, 0];
  for (const [a, b] of edges) {
    const [from, to] = [at.get(a), at.get(b)];
    if (from === undefined || to === undefined) continue;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const angle = 4 * Math.atan2(dy, dx);
    sin += Math.hypot(dx, dy) * Math.sin(angle);
    cos += Math.hypot(dx, dy) * Math.cos(angle);
    all += Math.hypot(dx, dy);
  }
  return { angle: Math.atan2(sin, cos) / 4, agreement: Math.hypot(sin, cos) / (all || 1) };
}

function turned(at: ReadonlyMap<string, Point>, angle: number): Map<string, Point> {
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  return new Map(
    [...at].map(([name, { x, y }]) => [name, { x: cos * x - sin * y, y: sin * x + cos * y }]),
  );
}

/** How well the nodes' order runs from left to right and from top to bottom, and how wide it is. */
function readingOrder(at: ReadonlyMap<string, Point>): number {
  const points = [...at.values()];
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  const [width, height] = [extent(xs), extent(ys)];
  const wide =
    Math.sign(width - height) * (Math.max(width, height) > 1.1 * Math.min(width, height) ? 2 : 0);
  return inOrder(xs) + inOrder(ys) + wide;
}

const extent = (values: readonly number[]) => Math.max(...values) - Math.min(...values);

/** The correlation of values with their places in the list, -1 to 1. */
function inOrder(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  let [both, ofPlace, ofValue] = [0, 0, 0];
  values.forEach((value, i) => {
    both += (i - middle) * (value - mean);
    ofPlace += (i - middle) ** 2;
    ofValue += (value - mean) ** 2;
  });
  return ofValue < 1e-6 ? 0 : both / Math.sqrt(ofPlace * ofValue);
}
