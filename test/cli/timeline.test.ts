import { expect } from "chai";
import { reportHtml } from "../../cli/render/html.ts";
import { reportJunit } from "../../cli/render/junit.ts";
import { reportText } from "../../cli/render/report.ts";
import { makeStyle, widthOf } from "../../cli/render/style.ts";
import type { Timeline } from "../../lab/api.ts";
import { expectGolden, NOW, report } from "./fakes.ts";

const slices = (dark: number, count: number) =>
  Array.from({ length: count }, (_, i) => (i >= dark && i < dark + 12 ? 0 : 10 - (i % 3)));

const judged = { ok: true, points: 1, of: 1, why: null, endedMs: 0 };

const timeline: Timeline = {
  lengthMs: 10_000,
  events: [
    {
      ...judged,
      ...{ kind: "flow", name: "ping alice -> bob", atMs: 0, startedMs: 0 },
      ...{ ok: false, points: 0, found: "it was dark for 1.2 s, and dark must be <= 1s" },
      why: "it was dark for 1.2 s, and dark must be <= 1s",
    },
    { ...judged, kind: "link", name: "link core down", atMs: 4000, startedMs: 4002, found: "" },
    {
      ...judged,
      ...{ kind: "link", name: "link core up", atMs: 5000, startedMs: 5001 },
      found: "ping alice -> bob was flowing again after 203 ms",
    },
    {
      ...judged,
      ...{ kind: "run", name: "alice: ip <neigh>", atMs: 5000, startedMs: 5000, of: 0, points: 0 },
      ...{ found: "10.0.0.2 dev eth0 REACHABLE\n", exit: 0 },
    },
  ],
  flows: [
    {
      ...{ name: "ping alice -> bob", protocol: "ping", from: "alice", to: "bob" },
      ...{ startedMs: 0, endedMs: 10_000, sent: 1000, received: 880, lost: 120, bitsPerSec: null },
      ...{
        dark: [{ fromMs: 4000, toMs: 5204 }],
        darkMs: 1204,
        sliceMs: 100,
        slices: slices(40, 100),
      },
    },
    {
      ...{ name: "tcp bob -> alice", protocol: "tcp", from: "bob", to: "alice" },
      ...{ startedMs: 1000, endedMs: 3000, sent: null, received: 700, lost: null },
      ...{ bitsPerSec: 9.4e6, dark: [], darkMs: 0, sliceMs: 100, slices: slices(99, 20) },
    },
  ],
};

const value = report({ verdict: "fail", timeline, score: { points: 2, of: 3 } });

describe("the time line", () => {
  const text = (columns: number, ascii = false) =>
    reportText(value, { columns, style: makeStyle({ color: false, ascii }), verbose: false });

  it("is drawn in text: bars of what arrived, and numbers of events under them", () => {
    expectGolden("timeline.txt", text(90));
  });

  it("is drawn without Unicode, and no wider than asked", () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
    expect(text(80, true)).to.match(/^[\x0a\x20-\x7e]*$/);
    for (const columns of [60, 80, 120]) {
      for (const line of text(columns).split("\n").slice(0, 8)) {
        expect(widthOf(line), line).to.be.at.most(columns);
      }
    }
  });

  it("is a picture in the page, with every text escaped", () => {
    const html = reportHtml(value, new Date(NOW));
    const svg = /<svg class="timeline".*?<\/svg>/s.exec(html)?.[0] ?? "";
    expect(svg.match(/<polygon/g)).to.have.length(2);
    expect(svg.match(/class="dark"/g)).to.have.length(1);
    expect(svg.match(/<circle/g)).to.have.length(3);
    expect(svg).not.to.match(/NaN|undefined|Infinity/);
    expect(html).to.include("alice: ip &lt;neigh&gt;").and.not.include("<neigh>");
  });

  it("is a suite of JUnit's", () => {
    const xml = reportJunit(value, new Date(NOW));
    expect(xml).to.include('<testsuite name="two-lans.events" tests="4" failures="1" errors="0"');
    expect(xml).to.include('name="at 4 s: link core down"');
  });
});
