import { expect } from "chai";
import type { LabError } from "../../base/errors.ts";
import type { LinkAddition } from "../../lab/api.ts";
import type { LabPlan } from "../../lab/plan/plan.ts";
import { addedLink } from "../../lab/supervisor/added-link.ts";
import type { LinkSpec } from "../../net/control/messages.ts";

const guest = (name: string, count: number) => ({
  name,
  setup: { interfaces: Array.from({ length: count }, (_, i) => ({ name: `eth${i}` })) },
});
const PLAN = {
  seed: 1,
  guests: [guest("a", 2), guest("b", 1)],
  allowLoops: false,
  switches: ["lan", "s", "t"].map((name) => ({ switch: name, hub: false, ageingMs: 1 })),
} as unknown as LabPlan;
const there = (link: string, a: string, b: string): LinkSpec => ({
  link,
  ends: [
    { kind: "nic", nic: a },
    { kind: "nic", nic: b },
  ],
  up: true,
  impairments: [{}, {}],
  seed: 0,
});
const add = (more: Partial<LinkAddition>, links: LinkSpec[] = []) =>
  addedLink(PLAN, links, { ends: ["a", "b"], impairments: [{}, {}], ...more });
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return (error as LabError).code;
  }
  return "none";
};

const between = (a: string, b: string): Partial<LinkAddition> => ({ ends: [a, b] });

describe("a link that is added to a running lab", () => {
  it("takes free interfaces, and a name that no other has", () => {
    const first = add({});
    expect(first.link).to.equal("a:eth0--b:eth0");
    const second = add({ ends: ["a", "lan"], vlan: 10, trunk: [20] }, [first]);
    expect(second.ends).to.deep.equal([
      { kind: "nic", nic: "a:eth1" },
      { kind: "switch", switch: "lan", vlan: 10, trunk: [20] },
    ]);
    expect(second.seed).to.not.equal(first.seed);
  });

  it("refuses what is not there, not free or makes no sense", () => {
    const used = [there("x", "a:eth0", "b:eth0")];
    expect(codeOf(() => add({ ends: ["a", "c"] }))).to.equal("UNKNOWN_NAME");
    expect(codeOf(() => add({ ends: ["a", "b"] }, used))).to.equal("USAGE");
    expect(codeOf(() => add({ ends: ["a:eth0", "lan"] }, used))).to.equal("USAGE");
    expect(codeOf(() => add({ ends: ["a:eth7", "lan"] }))).to.equal("USAGE");
    expect(codeOf(() => add({ ends: ["lan", "lan"] }))).to.equal("SWITCH_LOOP");
    expect(codeOf(() => add({ ends: ["a", "lan"], name: "x" }, used))).to.equal("DUPLICATE_NAME");
    expect(codeOf(() => add({ vlan: 10 }))).to.equal("USAGE");
  });

  it("closes no loop of switches, unless the file allows loops", () => {
    const row = [add(between("lan", "s"))];
    row.push(add(between("s", "t"), row));
    const closing = between("t", "lan");
    expect(() => add(closing, row))
      .to.throw(/closes a loop of switches: (lan -- s -- t -- lan|t -- s -- lan -- t)$/)
      .with.property("code", "SWITCH_LOOP");
    expect(codeOf(() => add(between("s", "t"), row))).to.equal("SWITCH_LOOP");
    const pulled = row.map((link) => ({ ...link, up: link.link !== "s--t" }));
    expect(codeOf(() => add(closing, pulled))).to.equal("none");
    const other = { ...closing, vlan: 20 };
    const inVlan10 = row.map((link) => ({
      ...link,
      ends: link.ends.map((end) => ({ ...end, vlan: 10 })) as unknown as LinkSpec["ends"],
    }));
    expect(codeOf(() => add(other, inVlan10))).to.equal("none");
    const allowed = { ...PLAN, allowLoops: true };
    const link = addedLink(allowed, row, { ends: ["t", "lan"], impairments: [{}, {}] });
    expect(link.link).to.equal("t--lan");
  });
});
