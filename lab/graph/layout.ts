/**
 * Where the nodes of a drawing stand. Graphviz (as WebAssembly, `@viz-js/viz`) lays the graph out
 * with several of its engines; the one with the fewest crossings wins. Pixels, y downwards.
 */

import { instance } from "@viz-js/viz";
import { layersOf, placeLayers } from "./layers.ts";
import { layOutLine } from "./line.ts";
import type { DrawnNode } from "./model.ts";
import { layOutStar } from "./star.ts";
import { slantOf, turnLevel } from "./turn.ts";

export interface Box {
  /** Centre. */
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface LayoutNode {
  readonly name: string;
  readonly kind: DrawnNode["kind"];
  readonly width: number;
  readonly height: number;
}

export interface LayoutEdge {
  readonly ends: readonly [string, string];
  /** How long the edge should be between the borders of its nodes, for what is written on it. */
  readonly length: number;
}

const viz = await instance();

const POINTS_PER_INCH = 72;

/** Engines in the order of liking, up to how many nodes each is tried. */
const TRIES = [
  { engine: "neato", start: "1", most: 200 },
  { engine: "neato", start: "2", most: 60 },
  { engine: "dot", start: "1", most: 60 },
  { engine: "circo", start: "1", most: 60 },
  { engine: "fdp", start: "1", most: 120 },
  { engine: "sfdp", start: "1", most: 5000 },
  { engine: "twopi", start: "1", most: 120 },
] as const;

export interface Layout {
  /** The centres of the nodes, by name, in the order of the nodes. */
  readonly at: ReadonlyMap<string, Point>;
  /** By how much to stretch it, again and again, until all texts have room. */
  readonly stretch: Point;
}

const EVENLY: Point = { x: 1.12, y: 1.12 };
/** Layers move apart more than the nodes in them: there the texts stand, on steep cables. */
const LAYERS_APART: Point = { x: 1.03, y: 1.15 };

/** The same graph gives the same layout. */
export function layOut(nodes: readonly LayoutNode[], edges: readonly LayoutEdge[]): Layout {
  if (nodes.length === 1) {
    return { at: new Map([[nodes[0]?.name ?? "", { x: 0, y: 0 }]]), stretch: EVENLY };
  }
  const plain = layOutStar(nodes, edges) ?? layOutLine(nodes, edges);
  if (plain !== undefined) return { at: plain, stretch: EVENLY };
  const layers = layersOf(nodes, edges);
  if (layers !== undefined) {
    return { at: placeLayers(layers, nodes, edges), stretch: LAYERS_APART };
  }
  const sizes = new Map(nodes.map((node) => [node.name, node]));
  const ends = edges.map((edge) => edge.ends);
  const tries = TRIES.filter(({ most }) => nodes.length <= most);
  let best: { readonly at: Map<string, Point>; readonly penalty: number } | undefined;
  for (const { engine, start } of tries) {
    const raw = run(engine, start, nodes, edges);
    if (raw === undefined) continue;
    // dot draws level as it is, from the top down
    const at = engine === "dot" ? raw : turnLevel(raw, ends);
    const penalty = ugliness(at, sizes, edges);
    // One further down the list must be much better: without a crossing that the other has.
    if (best === undefined || penalty < best.penalty * 0.6) best = { at, penalty };
  }
  if (best === undefined) throw new Error("no Graphviz engine could lay the graph out");
  return { at: best.at, stretch: EVENLY };
}

function run(
  engine: string,
  start: string,
  nodes: readonly LayoutNode[],
  edges: readonly LayoutEdge[],
): Map<string, Point> | undefined {
  const ids = new Map(nodes.map(({ name }, i) => [name, `n${i}`]));
  const longest = Math.max(60, ...edges.map(({ length }) => length));
  // Edges between nodes with several are all as long as the longest of them, so that a ring comes out
  // round and a grid square.
  const degrees = new Map<string, number>();
  for (const name of edges.flatMap(({ ends }) => ends)) {
    degrees.set(name, (degrees.get(name) ?? 0) + 1);
  }
  const inner = edges.filter(({ ends }) => ends.every((name) => (degrees.get(name) ?? 0) > 1));
  const innerLength = Math.max(...inner.map(({ length }) => length));
  const result = viz.render(
    {
      directed: false,
      graphAttributes: {
        // circo and twopi keep nodes apart by themselves, and prism would bend their circles.
        ...(engine === "circo" || engine === "twopi" ? {} : { overlap: "prism" }),
        sep: "+16",
        start,
        // finds its way out of folds in which the default stays
        mode: "sgd",
        nodesep: 0.4,
        ranksep: engine === "twopi" ? (longest + 90) / POINTS_PER_INCH : longest / POINTS_PER_INCH,
        mindist: Math.max(0.15, (longest - 50) / POINTS_PER_INCH),
      },
      nodeAttributes: { shape: "box", fixedsize: true, label: "" },
      nodes: nodes.map(({ name, width, height }) => ({
        name: ids.get(name) as string,
        attributes: { width: width / POINTS_PER_INCH, height: height / POINTS_PER_INCH },
      })),
      edges: edges.map((edge) => ({
        tail: ids.get(edge.ends[0]) as string,
        head: ids.get(edge.ends[1]) as string,
        // Between centres, as neato has it.
        attributes: {
          len: ((inner.includes(edge) ? innerLength : edge.length) + 80) / POINTS_PER_INCH,
        },
      })),
    },
    { engine, format: "plain" },
  );
  if (result.status !== "success") return undefined;
  const names = new Map([...ids].map(([name, id]) => [id, name]));
  const at = new Map<string, Point>();
  for (const line of result.output.split("\n")) {
    // node NAME X Y …, in inches, y upwards
    const [word, id = "", x, y] = line.split(" ");
    const name = names.get(id);
    if (word !== "node" || name === undefined) continue;
    at.set(name, { x: Number(x) * POINTS_PER_INCH, y: -Number(y) * POINTS_PER_INCH });
  }
  if (at.size !== nodes.length) return undefined;
  return new Map(nodes.map((node) => [node.name, at.get(node.name) as Point]));
}

/** Crossings of edges, edges through nodes, slanting edges, area and proportion, weighed. */
function ugliness(
  at: ReadonlyMap<string, Point>,
  sizes: ReadonlyMap<string, LayoutNode>,
  edges: readonly LayoutEdge[],
): number {
  const lines = edges.map(({ ends: [a, b] }) => ({
    names: [a, b],
    from: at.get(a) as Point,
    to: at.get(b) as Point,
  }));
  let penalty = 1;
  for (const [i, one] of lines.entries()) {
    for (const two of lines.slice(i + 1)) {
      if (one.names.some((name) => two.names.includes(name))) continue;
      if (crosses(one.from, one.to, two.from, two.to)) penalty += 4;
    }
    for (const [name, point] of at) {
      const size = sizes.get(name);
      if (size === undefined || one.names.includes(name)) continue;
      if (touches(one.from, one.to, { ...point, ...size })) penalty += 8;
    }
  }
  const xs = [...at.values()].map(({ x }) => x);
  const ys = [...at.values()].map(({ y }) => y);
  const width = Math.max(...xs) - Math.min(...xs) + 100;
  const height = Math.max(...ys) - Math.min(...ys) + 100;
  const stretched = Math.max(width / height, height / width);
  // Half as much again for edges that lie in all directions, as those of a grid should not.
  penalty *=
    1.5 -
    0.5 *
      slantOf(
        at,
        edges.map(({ ends }) => ends),
      ).agreement;
  // Area in squares of an edge: all are stretched alike in the end.
  const length =
    lines.reduce((sum, { from, to }) => sum + Math.hypot(to.x - from.x, to.y - from.y), 0) /
    (lines.length || 1);
  const area = length === 0 ? 0 : (width * height) / (at.size * length ** 2);
  return penalty + area + Math.max(0, stretched - 3) / 2;
}

const side = (a: Point, b: Point, c: Point) =>
  Math.sign((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x));

export const crosses = (a: Point, b: Point, c: Point, d: Point): boolean =>
  side(a, b, c) !== side(a, b, d) && side(c, d, a) !== side(c, d, b);

/** A line goes through a box. */
export function touches(from: Point, to: Point, { x, y, width, height }: Box): boolean {
  const [left, right, top, bottom] = [x - width / 2, x + width / 2, y - height / 2, y + height / 2];
  const inside = ({ x: px, y: py }: Point) => px > left && px < right && py > top && py < bottom;
  if (inside(from) || inside(to)) return true;
  const corners = [
    { x: left, y: top },
    { x: right, y: top },
    { x: right, y: bottom },
    { x: left, y: bottom },
  ] as const;
  return corners.some((corner, i) => crosses(from, to, corner, corners[(i + 1) % 4] as Point));
}

export const overlaps = (a: Box, b: Box, gap = 0): boolean =>
  Math.abs(a.x - b.x) * 2 < a.width + b.width + 2 * gap &&
  Math.abs(a.y - b.y) * 2 < a.height + b.height + 2 * gap;
