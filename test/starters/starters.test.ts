import { join } from "node:path";
import { expect } from "chai";
import { LabError } from "../../base/errors.ts";
import { packageRoot } from "../../base/package-root.ts";
import { findCommand } from "../../cli/table.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import type { LabPlan } from "../../lab/plan/plan.ts";
import { listStarters, starterText } from "../../lab/starters/starters.ts";
import { parseTopology } from "../../lab/topology/read.ts";

const write = (shape: string, size: string) => starterText({ shape, size }, "mine", "/somewhere");

const planOf = (text: string): LabPlan =>
  makePlan(parseTopology("/somewhere/mine.yaml", Buffer.from(text), {}));

/** Guests that forward, guests that do not, switches, links. */
const sizeOf = ({ guests, switches, links }: LabPlan) => [
  guests.filter(({ forward }) => forward).length,
  guests.filter(({ forward }) => !forward).length,
  switches.length,
  links.length,
];

const SIZES: readonly (readonly [shape: string, size: string, counts: readonly number[]])[] = [
  ["star", "2", [0, 2, 1, 2]],
  ["star", "100", [0, 100, 1, 100]],
  ["line", "1", [1, 2, 0, 2]],
  ["line", "5", [5, 2, 0, 6]],
  ["ring", "3", [3, 3, 0, 6]],
  ["ring", "6", [6, 6, 0, 12]],
  ["grid", "2x2", [4, 4, 0, 8]],
  ["grid", "4x3", [12, 4, 0, 4 + 3 * 3 + 4 * 2]],
  ["grid", "6x5", [30, 4, 0, 4 + 5 * 5 + 6 * 4]],
  ["tree", "1x1", [0, 1, 1, 1]],
  ["tree", "3x2", [0, 8, 7, 14]],
  ["tree", "2x5", [0, 25, 6, 30]],
  ["fat-tree", "2", [5, 2, 0, 2 + 2 + 2]],
  ["fat-tree", "4", [20, 16, 0, 16 + 16 + 16]],
];

describe("a new topology of a shape", () => {
  for (const [shape, size, counts] of SIZES) {
    it(`--${shape} ${size} is right, with routes from everywhere to everywhere`, () => {
      const plan = planOf(write(shape, size));
      expect(plan.name).to.equal("mine");
      expect(sizeOf(plan)).to.deep.equal(counts);
      expect(plan.pairs).to.have.length(plan.guests.length * (plan.guests.length - 1));
      const subnets = new Set<string>();
      for (const { setup } of plan.guests) {
        for (const { addresses } of setup.interfaces) {
          expect(addresses, "every interface has one address").to.have.length(1);
          subnets.add((addresses[0] as string).replace(/\.\d+\/(24|30)$/, ""));
        }
      }
      // What is on no wire of its own, a router has a route to, and a host a default route.
      const routers = plan.guests.some(({ forward }) => forward);
      for (const { forward, setup } of plan.guests) {
        const ways = forward ? subnets.size - setup.interfaces.length : routers ? 1 : 0;
        expect(setup.routes.length, setup.hostname).to.equal(ways);
      }
    });
  }

  it("numbers more cables than a byte counts", () => {
    const subnets = [...write("grid", "17x17").matchAll(/subnet: (\S+)/g)].map(([, text]) => text);
    expect(subnets).to.have.length(2 * 16 * 17);
    expect(new Set(subnets).size).to.equal(subnets.length);
    expect(subnets).to.include("10.1.0.0/30");
  });

  it("says the same of itself in the list and in the command's help", () => {
    const options = findCommand("init")?.options ?? [];
    for (const { name, size, summary } of listStarters().shapes) {
      expect(options).to.deep.include({ name, value: size, summary });
      expect(
        SIZES.some(([shape]) => shape === name),
        `${name} is tested`,
      ).to.equal(true);
    }
  });

  const refused = [
    ["star", "1", /N goes from 2 to 1000/],
    ["star", "many", /--star takes N, not `many`/],
    ["star", "-3", /takes N/],
    ["ring", "2", /N goes from 3/],
    ["grid", "4", /--grid takes WxH, not `4`/],
    ["grid", "4x1", /H goes from 2/],
    ["grid", "4x4x4", /takes WxH/],
    ["tree", "8x8", /more than a lab should have/],
    ["fat-tree", "3", /K is even/],
    ["fat-tree", "12", /K goes from 2 to 10/],
  ] as const;
  for (const [shape, size, message] of refused) {
    it(`refuses --${shape} ${size}`, () => {
      try {
        write(shape, size);
      } catch (error) {
        expect((error as LabError).code).to.equal("USAGE");
        expect((error as LabError).message).to.match(message);
        return;
      }
      expect.fail("it was not refused");
    });
  }
});

describe("a new topology from a shipped one", () => {
  for (const { name, teaches, images, kernel } of listStarters().topologies) {
    it(`${name} is copied under another name, and described as it is`, () => {
      const text = starterText({ from: name }, "mine", join(packageRoot, "x"));
      expect(text).to.match(/^# yaml-language-server: \$schema=\/.*topology\.schema\.json\n#\n# /);
      expect(text).not.to.include(`topologies/${name}.yaml`);
      const plan = planOf(text);
      expect(plan.name).to.equal("mine");
      expect(teaches).to.match(/^[A-Z].{10,100}$/);
      const needed = new Set(plan.guests.map(({ image }) => image));
      if (needed.size > 1) needed.delete("base");
      expect(needed).to.deep.equal(new Set(images));
      for (const guest of plan.guests) expect(guest.kernel).to.equal(kernel);
    });
  }

  it("names the schema by a path that goes down, never up", () => {
    const from = { from: "two-lans" };
    const first = (folder: string) => starterText(from, "mine", folder).split("\n")[0];
    const schema = "topologies/topology.schema.json";
    expect(first(packageRoot)).to.match(new RegExp(`=\\./${schema}$`));
    expect(first(join(packageRoot, "topologies"))).to.match(/=\.\/topology\.schema\.json$/);
    expect(first("/elsewhere")).to.include(`=${join(packageRoot, schema)}`);
  });

  it("says what was meant by a name that there is not", () => {
    const make = () => starterText({ from: "two-lan" }, "mine", "/x");
    expect(make).to.throw(LabError, "there is no topology named `two-lan`");
    try {
      make();
    } catch (error) {
      expect((error as LabError).hint).to.include("did you mean `two-lans`?");
    }
  });
});
