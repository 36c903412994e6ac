/** Every topology that the package ships comes up, and all that it expects of itself holds. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import type { Report } from "../../lab/api.ts";
import { House } from "./house.ts";

const FOLDER = join(packageRoot, "topologies");
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith(".yaml"));

describe("the topologies", function () {
  // the first that needs an image makes it
  this.timeout(600_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());

  for (const name of FILES) {
    it(`${name} is as it says`, async function () {
      const outcome = await house.run("test", join(FOLDER, name), "--format", "json");
      const document = JSON.parse(outcome.stdout);
      if (outcome.status === 3 && document.error.code === "NO_KERNEL") {
        console.log(`    SKIPPED: ${document.error.message} (${document.error.hint})`);
        return this.skip();
      }
      expect(outcome.status, `${outcome.stdout}${outcome.stderr}`).to.equal(0);
      const { verdict, guests, reachability, checks } = document as Report;
      expect(verdict).to.equal("pass");
      expect(guests.map(({ state }) => state)).to.deep.equal(guests.map(() => "ready"));
      const judged = reachability.filter(({ expected }) => expected !== null);
      expect(judged.length + checks.length, "what was judged").to.be.greaterThan(0);
      for (const { expected, reachable, ok } of judged) {
        expect(reachable).to.equal(expected === "reach");
        expect(ok).to.equal(true);
      }
      await house.expectNothingLeft();
    });
  }
});
