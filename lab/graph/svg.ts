/**
 * The picture for handouts and browsers. Nodes are laid out by Graphviz; what is written at the
 * ends of cables is placed here, on the cable and next to its node, where it covers nothing. Where
 * there is no room the drawing is stretched until there is.
 */

import { type Box, layOut, overlaps, type Point, touches } from "./layout.ts";
import type { Drawing, DrawnLink, DrawnNode } from "./model.ts";

const NAME_SIZE = 14;
const TEXT_SIZE = 11;
/** Widths of a character, on the safe side: bold sans, and monospace, by size. */
const NAME_WIDTH = NAME_SIZE * 0.62;
const TEXT_WIDTH = TEXT_SIZE * 0.61;
const LINE_HEIGHT = 14;
const MARGIN = 24;
/** Then texts may cover cables. */
const MOST_TRIES = 10;
/** How far the control points of parallel cables are apart. */
const BOW = 170;

interface NodeBox extends Box {
  readonly node: DrawnNode;
}

interface Label extends Box {
  readonly lines: readonly string[];
  readonly kind: "end" | "middle";
}

interface Cable {
  readonly link: DrawnLink;
  readonly from: Point;
  readonly to: Point;
  /** Control point of the curve: the middle for a straight cable. */
  readonly bend: Point;
  readonly curved: boolean;
}

export function drawSvg(drawing: Drawing): string {
  const sized = drawing.nodes.map((node) => ({
    node,
    name: node.name,
    kind: node.kind,
    ...sizeOf(node),
  }));
  const { at, stretch } = layOut(
    sized,
    drawing.links
      .filter(({ ends }) => ends[0].node !== ends[1].node)
      .map((link) => ({
        ends: [link.ends[0].node, link.ends[1].node] as const,
        length: lengthOf(link),
      })),
  );
  for (let tries = 0; ; tries++) {
    const scale = { x: stretch.x ** tries, y: stretch.y ** tries };
    const boxes = new Map<string, NodeBox>(
      sized.map(({ node, width, height }) => {
        const { x, y } = at.get(node.name) as Point;
        return [node.name, { node, width, height, x: x * scale.x, y: y * scale.y }];
      }),
    );
    const cables = cablesOf(drawing.links, boxes);
    const labels = placeLabels(cables, boxes, tries >= MOST_TRIES);
    if (labels !== undefined) return render(drawing, [...boxes.values()], cables, labels);
  }
}

/** What stands under a node's name. */
const underName = ({ lines, state }: DrawnNode): readonly string[] =>
  state === undefined ? lines : [...lines, state];

function sizeOf(node: DrawnNode): { width: number; height: number } {
  const { name, kind } = node;
  const lines = underName(node);
  const text = Math.max(name.length * NAME_WIDTH, ...lines.map((line) => line.length * TEXT_WIDTH));
  const icon = kind === "guest" ? 0 : 20;
  return {
    width: Math.max(kind === "guest" ? 56 : 72, Math.ceil(text) + 20 + icon),
    height: 32 + lines.length * LINE_HEIGHT,
  };
}

const labelSize = (lines: readonly string[]) => ({
  width: Math.max(...lines.map((line) => line.length)) * TEXT_WIDTH + 6,
  height: lines.length * LINE_HEIGHT + 2,
});

const middleOf = ({ impairment, vlan, trunk, up }: DrawnLink): string[] =>
  [
    trunk === undefined
      ? ""
      : `trunk ${trunk.join(",")}${vlan === undefined ? "" : `, native ${vlan}`}`,
    trunk === undefined && vlan !== undefined ? `vlan ${vlan}` : "",
    ...impairment.split(/[;,] /),
    up ? "" : "pulled",
  ].filter((line) => line !== "");

function lengthOf(link: DrawnLink): number {
  const texts = [link.ends[0].labels, link.ends[1].labels, middleOf(link)].filter(
    (lines) => lines.length > 0,
  );
  // On a slanting line a label takes about two thirds of its width.
  return 36 + texts.reduce((sum, lines) => sum + labelSize(lines).width * 0.66 + 8, 0);
}

/** Straight lines between centres; several between the same two nodes are bent apart. */
function cablesOf(links: readonly DrawnLink[], boxes: ReadonlyMap<string, NodeBox>): Cable[] {
  const key = ({ ends }: DrawnLink) => [ends[0].node, ends[1].node].sort().join(" ");
  const together = new Map<string, DrawnLink[]>();
  for (const link of links) together.set(key(link), [...(together.get(key(link)) ?? []), link]);
  return links.map((link) => {
    const from = boxes.get(link.ends[0].node) as NodeBox;
    const to = boxes.get(link.ends[1].node) as NodeBox;
    const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
    const siblings = together.get(key(link)) as DrawnLink[];
    if (from === to) {
      // A cable from a guest to itself: a bow above it.
      const up = { x: from.x, y: from.y - from.height * 3 };
      return {
        link,
        from: { x: from.x - 20, y: from.y },
        to: { x: to.x + 20, y: to.y },
        bend: up,
        curved: true,
      };
    }
    const shift = (siblings.indexOf(link) - (siblings.length - 1) / 2) * BOW;
    if (shift === 0) return { link, from, to, bend: middle, curved: false };
    const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
    const sign = from.node.name < to.node.name ? 1 : -1;
    const bend = {
      x: middle.x - (sign * shift * (to.y - from.y)) / length,
      y: middle.y + (sign * shift * (to.x - from.x)) / length,
    };
    return { link, from, to, bend, curved: true };
  });
}

/** A point of the cable, t from 0 to 1. */
function pointAt({ from, bend, to }: Cable, t: number): Point {
  const [a, b, c] = [(1 - t) ** 2, 2 * t * (1 - t), t ** 2];
  return { x: a * from.x + b * bend.x + c * to.x, y: a * from.y + b * bend.y + c * to.y };
}

/** The cable as straight pieces. */
function segmentsOf(cable: Cable): [Point, Point][] {
  if (!cable.curved) return [[cable.from, cable.to]];
  const points = Array.from({ length: 9 }, (_, i) => pointAt(cable, i / 8));
  return points.slice(1).map((point, i) => [points[i] as Point, point]);
}

const STEPS = 60;

/** Where each text stands; undefined where not all find room, unless `anyway`. */
function placeLabels(
  cables: readonly Cable[],
  boxes: ReadonlyMap<string, NodeBox>,
  anyway: boolean,
): Label[] | undefined {
  const nodes = [...boxes.values()];
  for (const [i, one] of nodes.entries()) {
    if (!anyway && nodes.slice(i + 1).some((two) => overlaps(one, two, 8))) return undefined;
  }
  const wanted = cables.flatMap((cable) => {
    const [a, b] = cable.link.ends;
    return [
      { cable, lines: a.labels, kind: "end" as const, range: [0, 0.5] as const },
      { cable, lines: b.labels, kind: "end" as const, range: [1, 0.5] as const },
      { cable, lines: middleOf(cable.link), kind: "middle" as const, range: [0.5, 0.25] as const },
    ].filter(({ lines }) => lines.length > 0);
  });
  const placed: Label[] = [];
  for (const { cable, lines, kind, range } of wanted) {
    const size = labelSize(lines);
    const others = cables.filter((other) => other !== cable).flatMap(segmentsOf);
    let fallback: Label | undefined;
    let found: Label | undefined;
    for (const t of stepsOf(range, kind)) {
      const label: Label = { ...pointAt(cable, t), ...size, lines, kind };
      if (nodes.some((node) => overlaps(label, node, 4))) continue;
      if (placed.some((other) => overlaps(label, other, 3))) continue;
      if (others.some(([from, to]) => touches(from, to, label))) {
        fallback ??= label;
        continue;
      }
      found = label;
      break;
    }
    const label =
      found ??
      (anyway ? (fallback ?? { ...pointAt(cable, 0.5), ...size, lines, kind }) : undefined);
    if (label === undefined) return undefined;
    placed.push(label);
  }
  return placed;
}

/** From near the node outwards; from the middle of the cable both ways. */
function stepsOf([from, to]: readonly [number, number], kind: Label["kind"]): number[] {
  const steps = Array.from({ length: STEPS }, (_, i) => from + ((to - from) * i) / STEPS);
  return kind === "end" ? steps : steps.flatMap((t) => [t, 1 - t]);
}

const STYLE = `
  .paper { fill: #ffffff }
  text { font-family: system-ui, "Segoe UI", "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #1a202c; text-anchor: middle }
  .title { font-size: 16px; font-weight: 600; text-anchor: start }
  .about { font-size: 12px; text-anchor: start; fill: #4a5568 }
  .name { font-size: ${NAME_SIZE}px; font-weight: 600 }
  .line { font-size: ${TEXT_SIZE}px; font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
  .label { fill: #ffffff }
  .middle { fill: #9b2c2c }
  .cable { fill: none; stroke: #4a5568; stroke-width: 1.6 }
  .trunk { stroke-width: 4 }
  .pulled { stroke-dasharray: 5 5; stroke: #9b2c2c }
  .guest { fill: #e8f1fb; stroke: #2b6cb0; stroke-width: 1.5 }
  .router { fill: #fdf0dc; stroke: #b7791f; stroke-width: 1.5 }
  .switch { fill: #e6f4ea; stroke: #2f855a; stroke-width: 1.5 }
  .hub { fill: #edf2f7; stroke: #4a5568; stroke-width: 1.5 }
  .down { fill: #ffffff; stroke-dasharray: 5 4 }
  .icon { fill: none; stroke: #1a202c; stroke-width: 1.4; stroke-linecap: round; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) {
    .paper, .label { fill: #171c26 }
    text { fill: #e2e8f0 }
    .about { fill: #a0aec0 }
    .middle { fill: #feb2b2 }
    .cable { stroke: #a0aec0 }
    .pulled { stroke: #feb2b2 }
    .guest { fill: #1c3350; stroke: #63b3ed }
    .router { fill: #4a3413; stroke: #f6ad55 }
    .switch { fill: #1b3d2b; stroke: #68d391 }
    .hub { fill: #2d3748; stroke: #a0aec0 }
    .down { fill: #171c26 }
    .icon { stroke: #e2e8f0 }
  }
`;

/** Colours of access VLANs, told apart on light and on dark ground. */
const VLAN_COLOURS = ["#3182ce", "#dd6b20", "#805ad5", "#38a169", "#d53f8c", "#b7791f", "#319795"];

function render(
  drawing: Drawing,
  boxes: readonly NodeBox[],
  cables: readonly Cable[],
  labels: readonly Label[],
): string {
  const all: readonly Box[] = [
    ...boxes,
    ...labels,
    ...cables
      .filter(({ curved }) => curved)
      .map((cable) => ({ ...pointAt(cable, 0.5), width: 8, height: 8 })),
  ];
  const left = Math.min(...all.map(({ x, width }) => x - width / 2)) - MARGIN;
  const right = Math.max(...all.map(({ x, width }) => x + width / 2)) + MARGIN;
  const header = drawing.description === undefined ? 34 : 52;
  const top = Math.min(...all.map(({ y, height }) => y - height / 2)) - MARGIN - header;
  const bottom = Math.max(...all.map(({ y, height }) => y + height / 2)) + MARGIN;
  const about = drawing.description ?? "";
  const titleWidth = Math.max(drawing.title.length * 10, about.length * 7) + 2 * MARGIN;
  const width = Math.max(right - left, Math.min(titleWidth, 900));
  const height = bottom - top;
  const vlans = [
    ...new Set(
      drawing.links.flatMap(({ vlan, trunk }) =>
        vlan === undefined || trunk !== undefined ? [] : [vlan],
      ),
    ),
  ].sort((a, b) => a - b);
  const x0 = left - (width - (right - left)) / 2;
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${n(width)}" height="${n(height)}" viewBox="${n(x0)} ${n(top)} ${n(width)} ${n(height)}" role="img">`,
    `<title>${escapeXml(drawing.title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="paper" x="${n(x0)}" y="${n(top)}" width="${n(width)}" height="${n(height)}"/>`,
    `<text class="title" x="${n(x0 + MARGIN)}" y="${n(top + 28)}">${escapeXml(drawing.title)}</text>`,
  ];
  if (about !== "") {
    out.push(
      `<text class="about" x="${n(x0 + MARGIN)}" y="${n(top + 46)}">${escapeXml(about)}</text>`,
    );
  }
  for (const cable of cables) {
    const { link, from, to, bend, curved } = cable;
    const classes = [
      "cable",
      link.trunk === undefined ? "" : "trunk",
      link.up ? "" : "pulled",
    ].filter((name) => name !== "");
    const colour =
      link.vlan === undefined || link.trunk !== undefined || !link.up
        ? ""
        : ` style="stroke: ${VLAN_COLOURS[vlans.indexOf(link.vlan) % VLAN_COLOURS.length]}; stroke-width: 2.4"`;
    const way = curved
      ? `M ${n(from.x)} ${n(from.y)} Q ${n(bend.x)} ${n(bend.y)} ${n(to.x)} ${n(to.y)}`
      : `M ${n(from.x)} ${n(from.y)} L ${n(to.x)} ${n(to.y)}`;
    out.push(
      `<path class="${classes.join(" ")}"${colour} d="${way}"><title>${escapeXml([link.name, link.traffic].filter((text) => text !== undefined).join(": "))}</title></path>`,
    );
  }
  for (const { x, y, width, height, lines, kind } of labels) {
    out.push(
      `<rect class="label" x="${n(x - width / 2)}" y="${n(y - height / 2)}" width="${n(width)}" height="${n(height)}" rx="3"/>`,
    );
    lines.forEach((line, i) => {
      const at = y - height / 2 + 1 + (i + 0.78) * LINE_HEIGHT;
      out.push(
        `<text class="line${kind === "middle" ? " middle" : ""}" x="${n(x)}" y="${n(at)}">${escapeXml(line)}</text>`,
      );
    });
  }
  for (const box of boxes) out.push(...renderNode(box));
  out.push("</svg>");
  return `${out.join("\n")}\n`;
}

function renderNode({ node, x, y, width, height }: NodeBox): string[] {
  const { name, kind, state } = node;
  const lines = underName(node);
  const radius = kind === "router" ? Math.min(height / 2, 20) : kind === "guest" ? 7 : 0;
  const icon = kind === "guest" ? 0 : 20;
  // the host is no part of the lab: dashed
  const looks = kind === "tap" ? "hub" : kind;
  const dashes = kind === "tap" ? ' stroke-dasharray="5 3"' : "";
  const cx = x + icon / 2;
  const top = y - height / 2;
  const out = [
    `<g><title>${escapeXml([`${kind} ${name}`, ...lines].join("\n"))}</title>`,
    `<rect class="${state === undefined ? looks : `${looks} down`}"${dashes} x="${n(x - width / 2)}" y="${n(top)}" width="${n(width)}" height="${n(height)}" rx="${n(radius)}"/>`,
  ];
  if (icon > 0) out.push(renderIcon(kind, x - width / 2 + 17, y));
  out.push(`<text class="name" x="${n(cx)}" y="${n(top + 21)}">${escapeXml(name)}</text>`);
  lines.forEach((line, i) => {
    out.push(
      `<text class="line${line === state ? " middle" : ""}" x="${n(cx)}" y="${n(top + 35 + i * LINE_HEIGHT)}">${escapeXml(line)}</text>`,
    );
  });
  out.push("</g>");
  return out;
}

/** A router: four arrows, in and out. A switch: two, past each other. A hub: a star. A TAP: in and out. */
function renderIcon(kind: DrawnNode["kind"], x: number, y: number): string {
  const at = (dx: number, dy: number) => `${n(x + dx)} ${n(y + dy)}`;
  const arrow = (x1: number, y1: number, x2: number, y2: number) => {
    const length = Math.hypot(x2 - x1, y2 - y1);
    const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
    const barb = (s: number) => at(x2 - 3 * ux + s * 2.4 * uy, y2 - 3 * uy - s * 2.4 * ux);
    return `M ${at(x1, y1)} L ${at(x2, y2)} M ${barb(1)} L ${at(x2, y2)} L ${barb(-1)}`;
  };
  const ways: Readonly<Record<string, string[]>> = {
    router: [arrow(-2, 0, -8, 0), arrow(2, 0, 8, 0), arrow(0, -8, 0, -2), arrow(0, 8, 0, 2)],
    switch: [arrow(-7, -3, 7, -3), arrow(7, 3, -7, 3)],
    hub: [arrow(0, 0, -7, -4), arrow(0, 0, 7, -4), arrow(0, 0, 0, 7)],
    tap: [arrow(0, 0, 8, 0), arrow(0, 0, -8, 0)],
  };
  return `<path class="icon" d="${(ways[kind] ?? []).join(" ")}"/>`;
}

const n = (value: number): string => String(Math.round(value * 10) / 10);

const escapeXml = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
