/** OSPF in a triangle finds its way round a pulled cable. Times are printed, and never judged. */

import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import type { Report } from "../../lab/api.ts";
import { House } from "./house.ts";

describe("topologies/ospf-triangle.yaml", function () {
  // the router image may have to be made first
  this.timeout(600_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());

  it("learns all routes, and passes again over the detour when the direct cable is pulled", async () => {
    const up: Report = await house.json(
      0,
      "up",
      join(packageRoot, "topologies/ospf-triangle.yaml"),
    );
    expect(up.verdict).to.equal("pass");
    expect(await steps()).to.deep.equal(["10.1.1.1", "10.0.12.2", "10.1.2.10"]);

    await house.run("link", "down", "r1-r2");
    const verify: Report = await house.json(0, "verify");
    expect(verify.verdict).to.equal("pass");
    expect(await steps()).to.deep.equal(["10.1.1.1", "10.0.13.2", "10.0.23.1", "10.1.2.10"]);
    const { readyMs, verifyMs, totalMs } = up.timing;
    console.log(
      `      up to verdict ${totalMs} ms: ready ${readyMs} ms, all routes learnt and measured ${verifyMs} ms later;` +
        ` over the detour within ${verify.timing.verifyMs} ms of the pulled cable`,
    );
    expect((await house.run("down")).status).to.equal(0);
    await house.expectNothingLeft();
  });

  /** The addresses that answer on the way from h1 to h2. */
  async function steps(): Promise<string[]> {
    const trace = ["traceroute", "-n", "-q", "1", "-w", "5", "10.1.2.10"];
    const { stdout } = await house.run("exec", "h1", "--", ...trace);
    return [...stdout.matchAll(/^ *\d+ +([\d.]+) /gm)].map(([, address]) => address as string);
  }
});
