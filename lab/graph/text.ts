/** The drawing for a terminal: each switch with what is plugged in, then the cables between guests. */

import type { Drawing, DrawnEnd, DrawnLink } from "./model.ts";

const KIND = { guest: "", router: "router", switch: "switch", hub: "hub", tap: "the host" };

export function drawText({ title, description, nodes, links }: Drawing): string {
  const kinds = new Map(nodes.map(({ name, kind }) => [name, kind]));
  const isSwitch = (end: DrawnEnd) => end.interface === undefined;
  const guests = nodes.filter(({ kind }) => kind === "guest" || kind === "router").length;
  const switches = nodes.filter(({ kind }) => kind === "switch" || kind === "hub").length;
  const out = [
    `${title}: ${count(guests, "guest")}, ${count(switches, "switch", "switches")}, ${count(links.length, "link")}`,
  ];
  if (description !== undefined) out.push(description);

  const describe = (end: DrawnEnd): string[] => {
    if (isSwitch(end)) return [end.node, "", KIND[kinds.get(end.node) ?? "switch"]];
    return [
      `${end.node}:${end.interface}`,
      end.addresses.join("  ") || "no address",
      KIND[kinds.get(end.node) ?? "guest"],
    ];
  };

  for (const { name, kind, lines } of nodes) {
    if (kind !== "switch" && kind !== "hub") continue;
    out.push("", [name, kind, ...lines].join("  "));
    const plugged = links.flatMap((link) => {
      const [a, b] = link.ends;
      if (a.node === name && isSwitch(a)) return [[...describe(b), markOf(link)]];
      return b.node === name && isSwitch(b) ? [[...describe(a), markOf(link)]] : [];
    });
    const rows = aligned(plugged);
    rows.forEach((row, i) => {
      out.push(`${i === rows.length - 1 ? "└──" : "├──"} ${row}`);
    });
    if (rows.length === 0) out.push("└── nothing is plugged in");
  }

  const cables = links.filter(({ ends }) => !ends.some(isSwitch));
  if (cables.length > 0) {
    const rows = cables.map((link) => {
      const [a, b] = link.ends;
      return [
        `${a.node}:${a.interface}`,
        a.addresses.join("  "),
        link.up ? "─────" : "──╳──",
        b.addresses.join("  "),
        `${b.node}:${b.interface}`,
        markOf(link),
      ];
    });
    out.push("", ...aligned(rows));
  }

  const down = nodes.filter(({ state }) => state !== undefined);
  if (down.length > 0) {
    out.push("", down.map(({ name, state }) => `${name} is ${state}`).join(", "));
  }

  const wired = new Set(links.flatMap(({ ends }) => ends.map(({ node }) => node)));
  const loose = nodes.filter(
    ({ name, kind }) => !wired.has(name) && (kind === "guest" || kind === "router"),
  );
  if (loose.length > 0) {
    out.push("", `without a cable: ${loose.map(({ name }) => name).join(", ")}`);
  }
  return `${out.join("\n")}\n`;
}

function markOf({ impairment, vlan, trunk, up, traffic }: DrawnLink): string {
  return [
    trunk === undefined ? "" : `trunk ${trunk.join(",")}`,
    vlan === undefined ? "" : trunk === undefined ? `vlan ${vlan}` : `native ${vlan}`,
    impairment,
    up ? "" : "pulled",
    traffic ?? "",
  ]
    .filter((text) => text !== "")
    .join(", ");
}

const count = (n: number, one: string, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** Rows of cells as lines, columns two spaces apart; columns that are empty everywhere left out. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const width = (column: number) =>
    Math.max(0, ...rows.map((row) => [...(row[column] ?? "")].length));
  const columns = Array.from(
    { length: Math.max(0, ...rows.map((row) => row.length)) },
    (_, i) => i,
  ).filter((column) => width(column) > 0);
  return rows.map((row) =>
    columns
      .map((column) => {
        const cell = row[column] ?? "";
        return cell + " ".repeat(width(column) - [...cell].length);
      })
      .join("  ")
      .trimEnd(),
  );
}
