import { expect } from "chai";
import { type Canvas, drawBlock, drawDoneStep, type LiveState } from "../../cli/render/frame.ts";
import { makeStyle, widthOf } from "../../cli/render/style.ts";

const canvas = (columns: number, rows: number): Canvas => ({
  style: makeStyle({ color: false, ascii: false }),
  columns: () => columns,
  rows: () => rows,
});

const state = (values: Partial<LiveState> = {}): LiveState => ({
  step: { name: "booting", detail: "3 guests", since: 1000 },
  work: new Map(),
  guests: new Map(),
  ...values,
});

const guests = (n: number): LiveState["guests"] =>
  new Map(Array.from({ length: n }, (_, i) => [`h${i + 1}`, i % 3 === 0 ? "ready" : "starting"]));

describe("live progress", () => {
  it("draws the step with its time, and a cell a guest", () => {
    const three: LiveState["guests"] = new Map([
      ["alice", "ready"],
      ["bob", "setup"],
      ["r1", "starting"],
    ]);
    const [title, ...grid] = drawBlock(state({ guests: three }), 1400, 0, canvas(60, 24));
    expect(title).to.match(/^⠋ booting 3 guests +400 ms$/);
    expect(grid).to.deep.equal(["  ● alice  ◑ bob    ○ r1   "]);
  });

  it("draws fifty guests in rows that fit 80 columns", () => {
    const lines = drawBlock(state({ guests: guests(50) }), 1400, 0, canvas(80, 24));
    expect(lines).to.have.length(6);
    for (const line of lines) expect(widthOf(line)).to.be.below(80);
  });

  it("leaves names away, then counts, where the terminal is small", () => {
    const marks = drawBlock(state({ guests: guests(50) }), 1400, 0, canvas(40, 6));
    expect(marks.slice(1).join("")).to.match(/^ {2}[●○ ]+$/);
    const counts = drawBlock(state({ guests: guests(500) }), 1400, 0, canvas(40, 8));
    expect(counts[1]).to.equal("  500 guests: 167 ready, 333 starting");
  });

  it("is never taller than the terminal", () => {
    const work: LiveState["work"] = new Map(
      Array.from({ length: 30 }, (_, i) => [
        `part ${i}`,
        { type: "progress", what: `part ${i}`, done: 1, total: 2, unit: "items" },
      ]),
    );
    expect(drawBlock(state({ work, guests: guests(9) }), 1400, 0, canvas(80, 10))).to.have.length(
      9,
    );
  });

  it("draws how far a fetch is", () => {
    const work: LiveState["work"] = new Map([
      ["x", { type: "progress", what: "fetching x", done: 12.3e6, total: 24.6e6, unit: "bytes" }],
    ]);
    const lines = drawBlock(state({ work }), 1400, 0, canvas(80, 24));
    expect(lines[1]).to.equal("  ⠋ fetching x  ████████████░░░░░░░░░░░░  12.3 MB of 24.6 MB");
  });

  it("says how long work of minutes will take", () => {
    const compiling = { what: "compiling", done: 1, total: 2, unit: "items" } as const;
    const draw = (leftMs: number) =>
      drawBlock(
        state({ work: new Map([["x", { type: "progress", ...compiling, leftMs }]]) }),
        1400,
        0,
        canvas(80, 24),
      )[1];
    expect(draw(190_000)).to.match(/ 1 of 2, about 3 min left$/);
    expect(draw(20_000)).to.match(/ 1 of 2, less than a minute left$/);
  });

  it("marks a finished step, and one in which a guest failed", () => {
    const step = { name: "booting", detail: undefined, since: 0 };
    expect(drawDoneStep(step, state(), 1500, canvas(40, 24))).to.match(/^✔ booting +1.5 s\n$/);
    const failed = state({ guests: new Map([["h1", "failed"]]) });
    expect(drawDoneStep(step, failed, 1500, canvas(40, 24))).to.match(/^✘ booting/);
  });
});
