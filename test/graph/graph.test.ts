import { expect } from "chai";
import { drawGraph } from "../../lab/graph/graph.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import { parseTopology } from "../../lab/topology/read.ts";

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
});
