/** New topologies, as `init` writes them, come up and hold what they expect. */

import { expect } from "chai";
import type { Report } from "../../lab/api.ts";
import { House } from "./house.ts";

describe("new topologies", function () {
  this.timeout(300_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());

  const starters = [
    ["--line", "2", 4],
    ["--ring", "3", 6],
    ["--grid", "2x2", 8],
    ["--tree", "2x2", 4],
    ["--fat-tree", "2", 7],
  ] as const;
  for (const [option, size, guests] of starters) {
    it(`init ${option} ${size} makes one that passes`, async () => {
      const file = `files/${option.slice(2)}.yaml`;
      const made = await house.run("init", option, size, "-o", file);
      expect(made.status, made.stderr).to.equal(0);
      const outcome = await house.run("test", file, "--format", "json");
      expect(outcome.status, `${outcome.stdout}${outcome.stderr}`).to.equal(0);
      const report = JSON.parse(outcome.stdout) as Report;
      expect(report.verdict).to.equal("pass");
      expect(report.reachability.length).to.be.at.least(guests * (guests - 1));
      await house.expectNothingLeft();
    });
  }
});
