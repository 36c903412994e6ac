/** Graphviz: `uml-lab graph FILE --format dot | neato -Tpdf`. */

import type { Drawing, DrawnNode } from "./model.ts";

const STYLES: Readonly<Record<DrawnNode["kind"], string>> = {
  guest: 'shape=box style="rounded,filled" fillcolor="#e8f1fb" color="#2b6cb0"',
  router: 'shape=ellipse style=filled fillcolor="#fdf0dc" color="#b7791f"',
  switch: 'shape=box style=filled fillcolor="#e6f4ea" color="#2f855a"',
  hub: 'shape=box style=filled fillcolor="#edf2f7" color="#4a5568"',
  tap: 'shape=box style="filled,dashed" fillcolor="#fde8e8" color="#c53030"',
};

const quote = (text: string) =>
  `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;

export function drawDot({ title, nodes, links }: Drawing): string {
  const out = [
    `graph ${quote(title)} {`,
    '  layout=neato overlap=prism splines=true sep="+30"',
    '  node [fontname="Helvetica"]',
    '  edge [fontname="Helvetica" fontsize=10 len=2.5]',
  ];
  for (const { name, kind, lines, state } of nodes) {
    const text = [name, ...lines, ...(state === undefined ? [] : [state])].join("\n");
    out.push(`  ${quote(name)} [label=${quote(text)} ${STYLES[kind]}]`);
  }
  for (const { ends, impairment, vlan, trunk, up } of links) {
    const [a, b] = ends;
    const text = [
      trunk === undefined ? "" : `trunk ${trunk.join(",")}`,
      vlan === undefined ? "" : `vlan ${vlan}`,
      impairment,
    ].filter((part) => part !== "");
    const attributes = [
      a.labels.length === 0 ? "" : `taillabel=${quote(a.labels.join("\n"))}`,
      b.labels.length === 0 ? "" : `headlabel=${quote(b.labels.join("\n"))}`,
      text.length === 0 ? "" : `label=${quote(text.join("\n"))}`,
      up ? "" : "style=dashed",
    ].filter((part) => part !== "");
    out.push(`  ${quote(a.node)} -- ${quote(b.node)} [${attributes.join(" ")}]`);
  }
  out.push("}");
  return `${out.join("\n")}\n`;
}
