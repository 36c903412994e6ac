/**
 * Each fault, in a topology that has just that one, is named rightly. The first lines of a file under
 * test/topologies/faults say what to explain, the cause (null: none), and what the sentence must name.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import type { Explanation, Report } from "../../lab/api.ts";
import { House } from "./house.ts";

const FAULTS = join(packageRoot, "test", "topologies", "faults");
const SHIPPED = join(packageRoot, "topologies");
const TUNNELS = ["evpn-vxlan.yaml", "mpls-ldp.yaml", "wireguard.yaml"];

function headOf(text: string): { explain: string[]; cause: string | null; names: string[] } {
  const line = (key: string) => new RegExp(`^# ${key}: (.*)$`, "m").exec(text)?.[1] ?? "";
  const cause = line("cause");
  return {
    explain: line("explain").split(" "),
    cause: cause === "null" ? null : cause,
    names: line("names").split(", "),
  };
}

describe("explain", function () {
  this.timeout(180_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());
  afterEach(() => house.run("down", "--all"));

  for (const file of readdirSync(FAULTS)) {
    const path = join(FAULTS, file);
    const { explain, cause, names } = headOf(readFileSync(path, "utf8"));
    it(`names ${file.replace(/\.yaml$/, "")}`, async function () {
      const up = await house.run("up", path, "--format", "json");
      if (up.status === 3) {
        const { error } = JSON.parse(up.stdout);
        console.log(`    SKIPPED: ${error.message} (${error.hint})`);
        return this.skip();
      }
      expect(up.status, `${up.stdout}${up.stderr}`).to.equal(0);
      const found: Explanation = await house.json(cause === null ? 0 : 1, "explain", ...explain);
      expect(found.cause, found.sentence).to.equal(cause);
      for (const name of names) expect(found.sentence).to.include(name);
    });
  }

  it("is not told of an answer from another address that it was reached", async () => {
    const path = join(FAULTS, "other-address-nat.yaml");
    const { reachability } = await house.json(0, "up", path);
    const [row] = (reachability as Report["reachability"]).filter(
      ({ from, to }) => from === "alice" && to === "bob",
    );
    expect(row).to.include({ reachable: false, rttMs: null });
  });

  for (const file of readdirSync(SHIPPED).filter((name) => name.endsWith(".yaml"))) {
    it(`accuses nothing of ${file}`, async function () {
      const up = await house.run("up", join(SHIPPED, file), "--format", "json");
      if (up.status === 3) return this.skip();
      const { reachability } = JSON.parse(up.stdout);
      // the first that each guest reaches: every wire and every router is crossed
      const firsts = new Map<string, Report["reachability"][number]>();
      const lasts: typeof firsts = new Map();
      for (const row of reachability as Report["reachability"]) {
        if (!row.reachable || row.expected === "isolate") continue;
        if (!firsts.has(row.from)) firsts.set(row.from, row);
        lasts.set(row.from, row);
      }
      expect(firsts.size).to.be.greaterThan(0);
      // where packets travel with labels or in tunnels, near and far ones go in different forms
      const chosen = TUNNELS.includes(file)
        ? [...firsts.values(), ...lasts.values()].slice(0, 10)
        : [...firsts.values()].slice(0, 6);
      for (const { from, to, address } of chosen) {
        const found: Explanation = await house.json(0, "explain", from, address);
        expect(found.cause, found.sentence).to.equal(null);
        expect(found.reachable).to.equal(true);
        expect(found.rttMs).to.be.greaterThan(0);
        if (found.notes.some((note) => note.includes("in another form"))) continue;
        const ends = [found.there.at(0), found.there.at(-1), found.back.at(0), found.back.at(-1)];
        expect(ends.map((hop) => hop?.kind === "guest" && hop.guest)).to.deep.equal([
          from,
          to,
          to,
          from,
        ]);
        for (const hop of [...found.there, ...found.back]) {
          if (hop.kind !== "link") continue;
          expect(hop.fate).to.equal("passed");
          expect(hop.ns).to.be.at.least(0);
        }
      }
    });
  }
});
