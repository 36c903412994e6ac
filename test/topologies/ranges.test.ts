import { expect } from "chai";
import { Random } from "../../base/random.ts";
import { expand, parseRange } from "../../lab/topology/ranges.ts";

describe("ranges", () => {
  it("have as many names as numbers, in order, each once", () => {
    const random = new Random(1, "test:ranges");
    for (let i = 0; i < 300; i++) {
      const from = random.below(200);
      const to = from + random.below(200);
      const names = expand(`h${from}..${to}`);
      expect(names).to.have.length(to - from + 1);
      expect(names[0]).to.equal(`h${from}`);
      expect(names.at(-1)).to.equal(`h${to}`);
      expect(new Set(names).size).to.equal(names.length);
    }
  });

  it("pad where the first number does", () => {
    expect(expand("h08..11")).to.deep.equal(["h08", "h09", "h10", "h11"]);
    expect(expand("h098..101")).to.deep.equal(["h098", "h099", "h100", "h101"]);
    expect(expand("h0..2")).to.deep.equal(["h0", "h1", "h2"]);
    expect(expand("rack1-h1..2")).to.deep.equal(["rack1-h1", "rack1-h2"]);
  });

  it("leave a plain name alone, and never grow without bound", () => {
    expect(expand("alice")).to.deep.equal(["alice"]);
    expect(parseRange("h1..")).to.equal(undefined);
    expect(parseRange("..5")).to.equal(undefined);
    expect(expand("h5..1")).to.deep.equal([]);
    expect(expand("h1..99999999999")).to.deep.equal([]);
  });
});
