/** A Mermaid flowchart, for Markdown pages. */

import type { Drawing, DrawnEnd, DrawnNode } from "./model.ts";

const SHAPES: Readonly<Record<DrawnNode["kind"], readonly [string, string]>> = {
  guest: ["(", ")"],
  router: ["{{", "}}"],
  switch: ["[", "]"],
  hub: ["[/", "/]"],
  tap: ["[(", ")]"],
};

export function drawMermaid({ title, nodes, links }: Drawing): string {
  // Names may be words of Mermaid (`end`, `graph`): nodes go by numbers.
  const ids = new Map(nodes.map(({ name }, i) => [name, `n${i}`]));
  const out = ["---", `title: ${title}`, "---", "flowchart LR"];
  for (const { name, kind, lines, state } of nodes) {
    const [open, close] = SHAPES[kind];
    const text = [`<b>${name}</b>`, ...lines, ...(state === undefined ? [] : [state])].join("<br>");
    out.push(`  ${ids.get(name)}${open}"${text}"${close}:::${kind}`);
  }
  const at = ({ node, labels }: DrawnEnd) =>
    labels.length === 0 ? "" : `${node} ${labels.join(" ")}`;
  for (const { ends, impairment, vlan, trunk, up } of links) {
    const [a, b] = ends;
    const text = [
      at(a),
      at(b),
      trunk === undefined ? "" : `trunk ${trunk.join(",")}`,
      vlan === undefined ? "" : `vlan ${vlan}`,
      impairment,
    ]
      .filter((line) => line !== "")
      .join("<br>");
    const line = up ? "---" : "-.-";
    out.push(`  ${ids.get(a.node)} ${line}${text === "" ? "" : `|"${text}"|`} ${ids.get(b.node)}`);
  }
  out.push(
    "  classDef guest fill:#e8f1fb,stroke:#2b6cb0,color:#1a202c",
    "  classDef router fill:#fdf0dc,stroke:#b7791f,color:#1a202c",
    "  classDef switch fill:#e6f4ea,stroke:#2f855a,color:#1a202c",
    "  classDef hub fill:#edf2f7,stroke:#4a5568,color:#1a202c",
    ...(nodes.some(({ kind }) => kind === "tap")
      ? ["  classDef tap fill:#fde8e8,stroke:#c53030,color:#1a202c"]
      : []),
  );
  return `${out.join("\n")}\n`;
}
