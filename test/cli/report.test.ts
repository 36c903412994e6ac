import { expect } from "chai";
import { reportHtml } from "../../cli/render/html.ts";
import { drawMatrix } from "../../cli/render/matrix.ts";
import { reportText } from "../../cli/render/report.ts";
import { makeStyle, widthOf } from "../../cli/render/style.ts";
import type { Report } from "../../lab/api.ts";
import { allPairs, expectGolden, NOW, pair, report } from "./fakes.ts";

const style = makeStyle({ color: false, ascii: false });
const text = (value: Report, columns = 80, verbose = false) =>
  reportText(value, { columns, style, verbose });

const passing = report({
  names: ["alice", "bob", "r1"],
  reachability: allPairs(["alice", "bob", "r1"], (from, to) =>
    pair({ from, to, rttMs: from === "r1" ? 12.34 : 0.4 }),
  ),
});

const failing = report({
  verdict: "fail",
  names: ["alice", "bob", "mallory", "server"],
  reachability: [
    pair({ from: "alice", to: "bob", address: "10.0.2.10", rttMs: 0.41 }),
    pair({ from: "alice", to: "bob", address: "2001:db8:2::10", rttMs: 0.62 }),
    pair({
      from: "bob",
      to: "alice",
      address: "10.0.1.10",
      reachable: false,
      ok: false,
      why: "bob has no route to 10.0.1.0/24: give it `gateway: 10.0.2.1`, or `routing: static` at the top of the file",
    }),
    pair({ from: "bob", to: "alice", address: "2001:db8:1::10" }),
    pair({
      from: "mallory",
      to: "server",
      expected: "isolate",
      reachable: false,
      address: "10.0.9.1",
    }),
    pair({
      from: "alice",
      to: "server",
      expected: "isolate",
      ok: false,
      address: "10.0.9.1",
      why: "r1 forwards it: no rule of its firewall drops it",
    }),
    pair({ from: "server", to: "alice", expected: null, address: "10.0.1.10" }),
    pair({ from: "server", to: "bob", expected: null, reachable: false, address: "10.0.2.10" }),
  ],
  checks: [
    {
      name: "the web page is served",
      on: "alice",
      ok: true,
      points: 2,
      of: 2,
      output: "hello\n",
      exit: 0,
    },
    {
      name: "names resolve",
      on: "bob",
      ok: false,
      points: 0,
      of: 1,
      output: "NXDOMAIN\n",
      exit: 1,
    },
    { name: "it ends", on: "bob", ok: false, points: 0, of: 1, output: "", exit: null },
  ],
  score: { points: 2, of: 4 },
});

const named = (n: number) => Array.from({ length: n }, (_, i) => `h${i + 1}`);

describe("the report in text", () => {
  it("shows who reaches whom with round trips, and one verdict line", () => {
    expectGolden("report-pass.txt", text(passing));
  });

  it("shows what failed and why, checks with their output, and what must not be reached", () => {
    expectGolden("report-fail.txt", text(failing));
  });

  it("reads without colour and without Unicode", () => {
    const ascii = makeStyle({ color: false, ascii: true });
    const drawn = reportText(failing, { columns: 80, style: ascii, verbose: false });
    expectGolden("report-ascii.txt", drawn);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
    expect(drawn).to.match(/^[\x0a\x20-\x7e]*$/);
  });

  it("numbers the columns of fifty guests, and fits 80 columns", () => {
    const names = named(50);
    const reachability = allPairs(names, (from, to) =>
      from === "h7" ? pair({ from, to, reachable: false, ok: false }) : pair({ from, to }),
    );
    const drawn = text(report({ names, reachability, verdict: "fail" }));
    expectGolden("report-50.txt", drawn);
    for (const line of drawn.split("\n").slice(0, 70)) expect(widthOf(line)).to.be.at.most(80);
    expect(drawn).to.include("and 29 more (--verbose shows all)");
  });

  it("lists the failures where a matrix would not fit", () => {
    for (const guests of [200, 500]) {
      const names = named(guests);
      const reachability = [pair({ from: "h1", to: "h2", reachable: false, ok: false, why: "so" })];
      const failed = report({ names, reachability, verdict: "fail" });
      const drawn = text(failed);
      expect(drawn).to.include(`${guests} × ${guests} guests are too many for 80 columns`);
      expect(drawn).to.include("✘ h1 → h2  not reached at 10.0.0.1\n      so\n");
      expect(reportHtml(failed, new Date(NOW)))
        .to.include("h1")
        .and.not.include('class="matrix"');
    }
  });

  it("never draws wider than asked", () => {
    for (const n of [2, 3, 5, 8, 13, 21, 34]) {
      for (const columns of [40, 60, 80, 120]) {
        const names = named(n).map((name) => `long-${name}`);
        const drawn = drawMatrix(names, allPairs(names), columns, style);
        for (const line of drawn?.text.split("\n") ?? []) {
          expect(widthOf(line), `${n} guests, ${columns} columns`).to.be.at.most(columns);
        }
      }
    }
  });

  it("colours without changing what it says", () => {
    const coloured = makeStyle({ color: true, ascii: false });
    const drawn = reportText(passing, { columns: 80, style: coloured, verbose: false });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is matched
    const bare = drawn.replace(/\x1b\[[\d;]*m/g, "").replace(/ +$/gm, "");
    expect(drawn).to.include("\x1b[");
    expect(bare.replace(" ✔ PASS  ", "✔ PASS ")).to.equal(text(passing));
  });
});

describe("the report as HTML", () => {
  const html = reportHtml(failing, new Date(NOW));

  it("is one file that asks for nothing elsewhere", () => {
    expect(html).to.match(/^<!doctype html>/);
    expect(html).not.to.match(/\b(src|href)=|@import|url\(|<script/);
  });

  it("has the matrix, the reasons, the checks and the verdict", () => {
    for (const part of ["✘ FAIL", "r1 forwards it", "NXDOMAIN", "2 of 4 points", 'class="leak"']) {
      expect(html).to.include(part);
    }
  });

  it("has a picture of the lab, and leads to its frames", () => {
    const graph = '<?xml version="1.0"?>\n<svg><text>alice</text></svg>\n';
    const page = reportHtml(failing, new Date(NOW), { graph, capture: "../my frames/x.pcapng" });
    expect(page).to.include('<div class="scroll graph"><svg><text>alice</text></svg>');
    expect(page).to.include('<a href="../my%20frames/x.pcapng">../my frames/x.pcapng</a>');
  });

  it("escapes what guests say", () => {
    const evil = "<script>alert(1)</script>";
    const check = { name: evil, on: "a", ok: false, points: 0, of: 1, output: evil, exit: 1 };
    expect(reportHtml(report({ checks: [check] }), new Date(NOW))).not.to.include("<script");
  });
});
