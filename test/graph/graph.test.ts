import { expect } from "chai";
import { drawGraph } from "../../lab/graph/graph.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import { starterText } from "../../lab/starters/starters.ts";
import { parseTopology } from "../../lab/topology/read.ts";
import { status } from "../cli/fakes.ts";

const planOf = (text: string) => makePlan(parseTopology("/lab/x.yaml", Buffer.from(text), {}));

const PLAN = planOf(`
name: everything
description: A trunk, a pulled cable & <two> impaired ways.
guests:
  alice: {}
  end: { image: router }
  r1: { forward: true, interfaces: { eth0: [10.0.1.1/24, "2001:db8:1::1/64"] } }
  r2: { forward: true }
  lonely: {}
switches: { sw1: {}, sw2: {}, old: { hub: true } }
links:
  - { ends: [r1:eth0, sw1], vlan: 10 }
  - { ends: [alice:eth0=10.0.1.2/24, sw1], vlan: 10 }
  - { ends: [sw1, sw2], trunk: [10, 20], vlan: 1 }
  - { ends: [r1, r2], subnet: 10.9.0.0/30, delay: 20ms, from: { r2: { loss: 1% } } }
  - { ends: [r1, r2], subnet: 10.9.1.0/30, up: false }
  - [end:eth0=10.0.3.2/24, old]
  - [r2:eth2=10.0.3.1/24, old]
`);

/** Every rectangle of a class with its place. */
function boxes(svg: string, classes: RegExp) {
  return [
    ...svg.matchAll(
      /<rect class="([^"]*)" x="([^"]*)" y="([^"]*)" width="([^"]*)" height="([^"]*)"/g,
    ),
  ]
    .filter(([, name]) => classes.test(name ?? ""))
    .map(([, , x, y, width, height]) => ({
      x: Number(x),
      y: Number(y),
      width: Number(width),
      height: Number(height),
    }));
}

describe("drawGraph", () => {
  it("draws every guest, switch and address in every format", () => {
    for (const format of ["svg", "mermaid", "dot", "text"] as const) {
      const picture = drawGraph(PLAN, format);
      for (const word of [
        "everything",
        "alice",
        "end",
        "r1",
        "r2",
        "lonely",
        "sw1",
        "sw2",
        "old",
        "10.0.1.1/24",
        "2001:db8:1::1/64",
        "10.0.1.2/24",
        "10.9.0.1/30",
        "10.0.3.2/24",
        "20 ms",
        "loss 1%",
      ]) {
        expect(picture, `${format} has ${word}`).to.include(word);
      }
      expect(picture.endsWith("\n")).to.equal(true);
    }
  });

  it("draws the same picture twice", () => {
    expect(drawGraph(PLAN, "svg")).to.equal(drawGraph(PLAN, "svg"));
  });

  it("covers nothing in the svg: no two nodes or texts overlap", () => {
    const star = planOf(
      "name: s\nguests: { h1..30: {} }\nswitches: { lan: { subnet: 10.0.0.0/16 } }\nlinks: [[h1..30, lan]]\n",
    );
    for (const plan of [PLAN, star]) {
      const all = boxes(drawGraph(plan, "svg"), /guest|router|switch|hub|label/);
      expect(all.length).to.be.at.least(plan.guests.length + plan.switches.length);
      for (const [i, a] of all.entries()) {
        for (const b of all.slice(i + 1)) {
          const apart =
            a.x + a.width <= b.x ||
            b.x + b.width <= a.x ||
            a.y + a.height <= b.y ||
            b.y + b.height <= a.y;
          expect(apart, `${JSON.stringify(a)} and ${JSON.stringify(b)} overlap`).to.equal(true);
        }
      }
    }
  });

  it("escapes what XML would read as its own", () => {
    const svg = drawGraph(PLAN, "svg");
    expect(svg).to.include("cable &amp; &lt;two&gt; impaired");
    expect(svg).to.include("prefers-color-scheme: dark");
  });

  it("draws a text for the terminal", () => {
    expect(drawGraph(PLAN, "text")).to.equal(`everything: 5 guests, 3 switches, 7 links
A trunk, a pulled cable & <two> impaired ways.

sw1  switch  10.0.1.0/24  2001:db8:1::/64
├── r1:eth0     10.0.1.1/24  2001:db8:1::1/64  router  vlan 10
├── alice:eth0  10.0.1.2/24                            vlan 10
└── sw2                                        switch  trunk 10,20, native 1

sw2  switch
└── sw1  switch  trunk 10,20, native 1

old  hub  10.0.3.0/24
├── end:eth0  10.0.3.2/24
└── r2:eth2   10.0.3.1/24  router

r1:eth1  10.9.0.1/30  ─────  10.9.0.2/30  r2:eth0  from r1: 20 ms; from r2: 20 ms, loss 1%
r1:eth2  10.9.1.1/30  ──╳──  10.9.1.2/30  r2:eth1  pulled

without a cable: lonely
`);
  });

  it("draws a lab of one guest", () => {
    const plan = planOf("name: one\nguests: { alone: {} }\n");
    for (const format of ["svg", "mermaid", "dot", "text"] as const) {
      expect(drawGraph(plan, format)).to.include("alone");
    }
  });

  /** The centres of nodes, by name. */
  const centresOf = (plan: typeof PLAN) => {
    const svg = drawGraph(plan, "svg");
    return new Map(
      [
        ...svg.matchAll(
          /<title>\w+ ([\w-]+)[^<]*<\/title>\n<rect class="\w+" x="([^"]*)" y="([^"]*)" width="([^"]*)" height="([^"]*)"/g,
        ),
      ].map(([, name, x, y, width, height]) => [
        name as string,
        { x: Number(x) + Number(width) / 2, y: Number(y) + Number(height) / 2 },
      ]),
    );
  };
  const starter = (shape: string, size: string) =>
    planOf(starterText({ shape, size }, "drawn", "/lab"));

  it("draws a fat tree in its layers, in the order of the file", () => {
    const at = centresOf(starter("fat-tree", "4"));
    const row = (prefix: string) => [...at].filter(([name]) => name.startsWith(prefix));
    const heights = ["c", "a", "e", "h"].map((prefix) => {
      const nodes = row(prefix);
      const ys = nodes.map(([, { y }]) => Math.round(y));
      expect(new Set(ys).size, `${prefix} stand level`).to.equal(1);
      const xs = nodes.map(([, { x }]) => x);
      expect(xs).to.deep.equal([...xs].sort((a, b) => a - b));
      return ys[0] as number;
    });
    expect(heights).to.deep.equal([...heights].sort((a, b) => a - b));
  });

  it("draws a grid level", () => {
    const at = centresOf(starter("grid", "4x4"));
    const place = (name: string) => at.get(name) as { x: number; y: number };
    // Neighbours are level or upright, within a tenth of their distance.
    for (const [a, b] of [
      ["r1-1", "r1-2"],
      ["r2-1", "r2-2"],
      ["r1-1", "r2-1"],
      ["r2-2", "r3-2"],
    ] as const) {
      const [dx, dy] = [place(b).x - place(a).x, place(b).y - place(a).y];
      const off = Math.min(Math.abs(dx), Math.abs(dy)) / Math.hypot(dx, dy);
      expect(off, `${a} and ${b}`).to.be.below(0.1);
    }
  });

  it("draws a line as one", () => {
    const at = [...centresOf(starter("line", "3")).values()];
    expect(new Set(at.map(({ y }) => Math.round(y))).size).to.be.at.most(2);
  });

  it("draws a running lab as it is: cables, impairments, guests, traffic", () => {
    const plan = planOf(
      "name: n\nguests: { alice: {}, bob: {} }\nlinks: [{ ends: [alice, bob], name: core, subnet: 10.0.0.0/30 }]\n",
    );
    const base = status();
    const live = status({
      guests: base.guests.map((guest) =>
        guest.name === "bob" ? { ...guest, state: "failed" } : guest,
      ),
      counters: {
        ...base.counters,
        links: base.counters.links.map((link) => ({
          ...link,
          up: false,
          impairments: [{ loss: 0.25 }, { loss: 0.25 }] as const,
        })),
      },
    });
    for (const format of ["svg", "mermaid", "dot", "text"] as const) {
      const now = drawGraph(plan, format, live);
      const planned = drawGraph(plan, format);
      for (const word of ["failed", "loss 25%"]) {
        expect(now, `${format} has ${word}`).to.include(word);
        expect(planned).not.to.include(word);
      }
    }
    expect(drawGraph(plan, "svg", live)).to.include("core: 1207 frames, 3 dropped");
    expect(drawGraph(plan, "svg", live)).to.include('class="guest down"');
    expect(drawGraph(plan, "text", live)).to.include("──╳──");
  });
});

describe("a TAP of the host", () => {
  const text = `
name: tapped
guests: { alice: {} }
switches: { lan: { subnet: 10.0.0.0/24, tap: tap0 } }
links: [[alice, lan]]
events: [{ at: 1s, link: "lan:tap0", up: false }]
`;
  const plan = planOf(text);

  it("is the end of a cable of its own in the plan", () => {
    const cable = plan.links.find(({ link }) => link === "lan:tap0");
    expect(cable?.ends).to.deep.equal([
      { kind: "switch", switch: "lan" },
      { kind: "tap", tap: "lan:tap0", device: "tap0" },
    ]);
    expect(planOf(text.replace(", tap: tap0", "").replace(/events.*/, "")).links).to.have.length(1);
  });

  it("is drawn, and counted as no switch", () => {
    for (const format of ["svg", "mermaid", "dot", "text"] as const) {
      expect(drawGraph(plan, format)).to.include("lan:tap0").and.include("the host");
    }
    expect(drawGraph(plan, "text")).to.match(/1 guest, 1 switch, 2 links/);
  });
});
