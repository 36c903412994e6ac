import { expect } from "chai";
import { Random } from "../../base/random.ts";
import { closest, editDistance } from "../../base/similar.ts";

describe("closest", () => {
  it("finds what was meant", () => {
    const names = ["alice", "bob", "lan1", "lan2", "server"];
    expect(closest("alcie", names)).to.equal("alice");
    expect(closest("Alice", names)).to.equal("alice");
    expect(closest("lna1", names)).to.equal("lan1");
    expect(closest("lan3", names)).to.equal("lan1");
    expect(closest("sever", names)).to.equal("server");
  });

  it("guesses nothing where nothing is near", () => {
    for (const word of ["carol", "a", "", "x1"]) {
      expect(closest(word, ["alice", "bob", "b", "r2"]), word).to.equal(undefined);
    }
  });
});

describe("editDistance", () => {
  it("is a distance: zero for the same, symmetric, at most the longer word", () => {
    const random = new Random(1, "test:similar");
    const word = () =>
      Array.from({ length: random.below(9) }, () => "abc"[random.below(3)]).join("");
    for (let i = 0; i < 500; i++) {
      const [a, b] = [word(), word()];
      expect(editDistance(a, a)).to.equal(0);
      expect(editDistance(a, b)).to.equal(editDistance(b, a));
      expect(editDistance(a, b)).to.be.at.most(Math.max(a.length, b.length));
      expect(editDistance(a, b) === 0).to.equal(a === b);
    }
    expect(editDistance("lan", "lna")).to.equal(1);
  });
});
