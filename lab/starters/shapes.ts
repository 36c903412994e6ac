/**
 * Shapes of networks, of any size, as commented topology files: what `uml-lab init --ring 6` writes.
 * Pure: the same words give the same text.
 *
 * Addresses follow one plan, so that files of different shapes read alike: host LAN N is
 * 192.168.N.0/24 with its router at .1 and its host at .10; cable N between routers is 10.0.N.0/30
 * with its first end at .1 and its second at .2.
 */

import { LabError } from "../../base/errors.ts";

export interface Shape {
  /** As the option is called: `fat-tree`. */
  readonly name: string;
  /** What its size looks like: `N`, `WxH`. */
  readonly size: string;
  readonly summary: string;
  /** The topology file's text, without the line for editors. Throws USAGE for a size out of bounds. */
  readonly write: (size: string, name: string) => string;
}

/** The numbers of a size, each in its bounds. */
function numbers(shape: string, size: string, bounds: readonly Bound[]): number[] {
  const words = size.split("x");
  const values = words.map(Number);
  const form = bounds.map(({ what }) => what).join("x");
  if (words.length !== bounds.length || !words.every((word) => /^\d{1,4}$/.test(word))) {
    throw new LabError("USAGE", `--${shape} takes ${form}, not \`${size}\``, {
      hint: `for example --${shape} ${bounds.map(({ example }) => example).join("x")}`,
    });
  }
  bounds.forEach(({ what, least, most }, i) => {
    const value = values[i] as number;
    if (value >= least && value <= most) return;
    throw new LabError("USAGE", `--${shape} ${size}: ${what} goes from ${least} to ${most}`);
  });
  return values;
}

interface Bound {
  readonly what: string;
  readonly least: number;
  readonly most: number;
  readonly example: number;
}

/** `h1..5`, or `h1` where there is only one. */
const range = (prefix: string, count: number): string =>
  count === 1 ? `${prefix}1` : `${prefix}1..${count}`;

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);

/** Host N behind a router, on a LAN of its own. */
const lan = (n: number, router: string, host: string): string =>
  `  - [${router}=192.168.${n}.1/24, ${host}:eth0=192.168.${n}.10/24]`;

/** Cable N between two routers. Over 255 the third number runs over into the second. */
const core = (n: number, a: string, b: string): string =>
  `  - { ends: [${a}, ${b}], name: ${a}-${b}, subnet: 10.${n >> 8}.${n & 255}.0/30 }`;

const file = (...parts: readonly (readonly string[])[]): string =>
  `${parts.map((lines) => lines.join("\n")).join("\n\n")}\n`;

const ALL_REACH = ["expect:", '  reach: ["* -> *"]'];

const ADDRESSES = [
  "# Host LANs are 192.168.N.0/24 (router .1, host .10), cables between routers 10.0.N.0/30 (.1 and",
  "# .2, in the order of their ends). `routing: static` puts the shortest way to every subnet into",
  "# each router's table.",
];

function star(size: string, name: string): string {
  const [hosts] = numbers("star", size, [{ what: "N", least: 2, most: 1000, example: 10 }]) as [
    number,
  ];
  return file(
    [
      `# A star: ${hosts} hosts around one switch, which numbers them from its subnet.`,
      "#",
      `#   h1  h2  …  h${hosts}`,
      "#     \\  |  /",
      "#       lan        10.0.0.0/16",
      "#",
      "# Try: uml-lab exec h1 -- ip neigh",
      "#      uml-lab link set h2:eth0--lan delay=50ms loss=10%      and then   uml-lab verify",
      `name: ${name}`,
    ],
    ["guests:", `  ${range("h", hosts)}:`],
    ["switches:", "  lan: { subnet: 10.0.0.0/16 }"],
    ["links:", `  - [${range("h", hosts)}, lan]`],
    ALL_REACH,
  );
}

function line(size: string, name: string): string {
  const [routers] = numbers("line", size, [{ what: "N", least: 1, most: 60, example: 5 }]) as [
    number,
  ];
  const pairs = upTo(routers - 1);
  return file(
    [
      `# A line: ${routers} router${routers === 1 ? "" : "s"} in a row, a host at either end.`,
      "#",
      routers === 1 ? "#   h1 -- r1 -- h2" : `#   h1 -- r1 -- … -- r${routers} -- h2`,
      "#",
      ...ADDRESSES,
      "#",
      "# Try: uml-lab exec h1 -- traceroute -n h2",
      ...(routers === 1 ? [] : ["#      uml-lab link set r1-r2 delay=50ms      and again"]),
      `name: ${name}`,
      "routing: static",
    ],
    ["guests:", "  h1..2:", `  ${range("r", routers)}: { forward: true }`],
    [
      "links:",
      lan(1, "r1:eth0", "h1"),
      ...pairs.map((n) => core(n, `r${n}`, `r${n + 1}`)),
      lan(2, routers === 1 ? "r1:eth1" : `r${routers}:eth1`, "h2"),
    ],
    ALL_REACH,
  );
}

function ring(size: string, name: string): string {
  const [routers] = numbers("ring", size, [{ what: "N", least: 3, most: 250, example: 6 }]) as [
    number,
  ];
  return file(
    [
      `# A ring of ${routers} routers, a host behind each.`,
      "#",
      "#   h1 -- r1 ---- r2 -- h2",
      "#         |        |",
      `#  h${routers} -- r${routers} --…-- r3 -- h3`,
      "#",
      ...ADDRESSES,
      "# Where both ways round are equally long, the one over the earlier interface is taken.",
      "#",
      "# Try: uml-lab exec r1 -- ip route",
      `#      uml-lab exec h1 -- traceroute -n h${Math.ceil(routers / 2)}`,
      `name: ${name}`,
      "routing: static",
    ],
    ["guests:", `  ${range("h", routers)}:`, `  ${range("r", routers)}: { forward: true }`],
    [
      "links:",
      ...upTo(routers).map((n) => lan(n, `r${n}:eth0`, `h${n}`)),
      ...upTo(routers).map((n) => core(n, `r${n}`, `r${(n % routers) + 1}`)),
    ],
    ALL_REACH,
  );
}

function grid(size: string, name: string): string {
  const [columns, rows] = numbers("grid", size, [
    { what: "W", least: 2, most: 20, example: 4 },
    { what: "H", least: 2, most: 20, example: 4 },
  ]) as [number, number];
  const at = (column: number, row: number) => `r${row}-${column}`;
  const corners = [at(1, 1), at(columns, 1), at(1, rows), at(columns, rows)];
  const cables = upTo(rows).flatMap((row) =>
    upTo(columns).flatMap((column) => [
      ...(column < columns ? [[at(column, row), at(column + 1, row)] as const] : []),
      ...(row < rows ? [[at(column, row), at(column, row + 1)] as const] : []),
    ]),
  );
  return file(
    [
      `# A grid of ${columns} by ${rows} routers, a host at each corner. Router rROW-COLUMN.`,
      "#",
      `#   h1 -- r1-1 -- … -- ${at(columns, 1)} -- h2`,
      "#          |             |",
      `#   h3 -- ${at(1, rows)} -- … -- ${at(columns, rows)} -- h4`,
      "#",
      ...ADDRESSES,
      "#",
      "# Try: uml-lab exec h1 -- traceroute -n h4",
      `name: ${name}`,
      "routing: static",
    ],
    [
      "guests:",
      "  h1..4:",
      ...upTo(rows).flatMap((row) =>
        upTo(columns).map((column) => `  ${at(column, row)}: { forward: true }`),
      ),
    ],
    [
      "links:",
      ...corners.map((router, i) => lan(i + 1, `${router}:eth0`, `h${i + 1}`)),
      ...cables.map(([a, b], i) => core(i + 1, a, b)),
    ],
    ALL_REACH,
  );
}

function tree(size: string, name: string): string {
  const [depth, fanout] = numbers("tree", size, [
    { what: "DEPTH", least: 1, most: 8, example: 3 },
    { what: "FANOUT", least: 1, most: 64, example: 2 },
  ]) as [number, number];
  const hosts = fanout ** depth;
  if (hosts > 500) {
    throw new LabError("USAGE", `--tree ${size}: ${hosts} hosts are more than a lab should have`, {
      hint: "at most 500: FANOUT to the power of DEPTH",
    });
  }
  // s1 is the root; the switches of a level are numbered on from those of the level above.
  const switches: string[] = [];
  const links: string[] = [];
  let above: string[] = [];
  for (let level = 0; level < depth; level++) {
    const here = upTo(fanout ** level).map((n) => `s${switches.length + n}`);
    here.forEach((child, i) => {
      const parent = above[Math.floor(i / fanout)];
      if (parent !== undefined) links.push(`  - [${parent}, ${child}]`);
    });
    switches.push(...here);
    above = here;
  }
  above.forEach((leaf, i) => {
    const first = i * fanout + 1;
    const ends = fanout === 1 ? `h${first}` : `h${first}..${first + fanout - 1}`;
    links.push(`  - [${ends}, ${leaf}]`);
  });
  return file(
    [
      `# A tree of switches, ${depth} deep, each with ${fanout} below it; the hosts are the leaves. One LAN:`,
      "# the hosts are on one subnet, and there is one way between any two of them.",
      "#",
      "#           s1",
      "#         /    \\",
      "#       s2  …  s3",
      "#      / \\    / \\",
      `#     h1  …  …  h${hosts}      10.0.0.0/16`,
      "#",
      "# Try: uml-lab link show      while   uml-lab exec h1 -- ping -c 3 h2   runs: which cables",
      "#      carry frames, once the switches have learnt where both hosts are?",
      `name: ${name}`,
    ],
    ["guests:", `  ${range("h", hosts)}:`],
    [
      "switches:",
      ...switches.map(
        (each) => `  ${each}:${above.includes(each) ? " { subnet: 10.0.0.0/16 }" : ""}`,
      ),
    ],
    ["links:", ...links],
    ALL_REACH,
  );
}

function fatTree(size: string, name: string): string {
  const [k] = numbers("fat-tree", size, [{ what: "K", least: 2, most: 10, example: 4 }]) as [
    number,
  ];
  if (k % 2 === 1) {
    throw new LabError("USAGE", `--fat-tree ${size}: K is even`, {
      hint: "K ports a router: half go up, half go down",
    });
  }
  const half = k / 2;
  const links: string[] = [];
  const pods = upTo(k).flatMap((pod) => upTo(half).map((i) => (pod - 1) * half + i));
  pods.forEach((edge) => {
    upTo(half).forEach((i) => {
      const host = (edge - 1) * half + i;
      links.push(lan(host, `e${edge}:eth${i - 1}`, `h${host}`));
    });
  });
  let cable = 0;
  for (const pod of upTo(k)) {
    const own = upTo(half).map((i) => (pod - 1) * half + i);
    for (const edge of own) {
      for (const aggregate of own) links.push(core(++cable, `e${edge}`, `a${aggregate}`));
    }
    own.forEach((aggregate, i) => {
      for (const j of upTo(half)) {
        links.push(core(++cable, `a${aggregate}`, `c${i * half + j}`));
      }
    });
  }
  return file(
    [
      `# A fat tree of routers with ${k} ports: ${k} pods of ${half} edge routers (e) and ${half} aggregation routers (a),`,
      `# ${half * half} core routers (c), ${half} hosts on each edge router. Between two pods there are ${half * half} ways.`,
      "#",
      `#            c1 … c${half * half}`,
      "#           /  \\  / \\",
      `#         a1 … a${half}     …      one pod: every e to every a`,
      "#          | \\/ |",
      `#         e1 … e${half}`,
      "#        / \\    / \\",
      "#      h1  …",
      "#",
      ...ADDRESSES,
      "# Static routes take one of the equally long ways: the one over the earlier interface.",
      "#",
      `# Try: uml-lab exec h1 -- traceroute -n h${k * half * half}`,
      `name: ${name}`,
      "routing: static",
    ],
    [
      "guests:",
      `  ${range("h", k * half * half)}:`,
      `  ${range("e", k * half)}: { forward: true }`,
      `  ${range("a", k * half)}: { forward: true }`,
      `  ${range("c", half * half)}: { forward: true }`,
    ],
    ["links:", ...links],
    ALL_REACH,
  );
}

export const SHAPES: readonly Shape[] = [
  { name: "star", size: "N", summary: "N hosts around a switch", write: star },
  { name: "line", size: "N", summary: "N routers in a row, a host at either end", write: line },
  { name: "ring", size: "N", summary: "N routers in a ring, a host behind each", write: ring },
  { name: "grid", size: "WxH", summary: "routers in a grid, a host at each corner", write: grid },
  {
    name: "tree",
    size: "DEPTHxFANOUT",
    summary: "a tree of switches, hosts as its leaves",
    write: tree,
  },
  {
    name: "fat-tree",
    size: "K",
    summary: "a data centre of routers with K ports in three layers",
    write: fatTree,
  },
];
