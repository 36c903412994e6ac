import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import { notYet } from "../../lab/topology/not-yet.ts";
import { readTopology } from "../../lab/topology/read.ts";

describe("topologies/two-lans.yaml", () => {
  const file = join(packageRoot, "topologies", "two-lans.yaml");

  it("is planned with three guests, and all six ordered pairs must reach", async () => {
    const plan = makePlan(await readTopology(file, {}));
    expect(plan.guests.map(({ name }) => name)).to.deep.equal(["alice", "bob", "r1"]);
    expect(plan.pairs.map(({ from, to, expected }) => `${from} ${expected} ${to}`)).to.deep.equal([
      "alice reach bob",
      "alice reach r1",
      "bob reach alice",
      "bob reach r1",
      "r1 reach alice",
      "r1 reach bob",
    ]);
  });

  it("needs nothing that is not there yet", async () => {
    expect(notYet(await readTopology(file, {}))).to.deep.equal([]);
  });
});
