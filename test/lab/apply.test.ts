/** Bringing a lab to another plan: what is asked of the fabric and of guests, and what is not. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import type { LabError } from "../../base/errors.ts";
import type { OpenDisks } from "../../lab/disks/open-disks.ts";
import { changeText } from "../../lab/plan/change.ts";
import type { FabricRequest } from "../../net/control/messages.ts";
import { FakeLab, planOf } from "./fake-machinery.ts";

const LAB = `
guests: { a: {}, b: {}, c: {} }
switches: { s: { subnet: 10.0.0.0/24 }, t: {} }
links:
  - { ends: [a, s], name: la }
  - { ends: [b, s], name: lb }
  - { ends: [c:eth0=10.0.0.9/24, s], name: lc }
`;
const replaced = (what: string, by: string) => {
  expect(LAB).to.include(what);
  return LAB.replace(what, by);
};
const shown = (request: FabricRequest): string => {
  const subject =
    "spec" in request
      ? Object.values(request.spec)[0]
      : Object.entries(request).find(([key]) => key !== "op")?.[1];
  return `${request.op} ${subject}`;
};

describe("a plan that is applied to a running lab", () => {
  let fake: FakeLab;
  beforeEach(async () => {
    fake = await FakeLab.up(LAB);
  });
  afterEach(() => fake[Symbol.asyncDispose]());

  const done = () => fake.requests.map(shown);
  const state = async () => {
    const { guests, counters } = await fake.lab.status();
    return {
      guests: guests.map(({ name, state }) => `${name} ${state}`),
      links: counters.links.map(({ link }) => link).sort(),
    };
  };
  const fails = async (text: string) => {
    const error = await fake.apply(text).catch((thrown: unknown) => thrown as LabError);
    if (!(error instanceof Error)) throw new Error("it did not fail");
    return error;
  };

  it("touches nothing where nothing differs", async () => {
    expect(await fake.apply(LAB)).to.deep.equal([]);
    expect(done()).to.deep.equal([]);
    expect(fake.deeds).to.deep.equal([]);
  });

  it("boots a guest that is new on a cable of its own, and leaves the others theirs", async () => {
    const text = replaced("c: {} }", "c: {}, d: {} }");
    await fake.apply(`${text}  - { ends: [d, s], name: ld }\n`);
    expect(done()).to.deep.equal(["add-nic d:eth0", "add-link ld"]);
    const told = ["a", "b", "c"].map((name) => `change ${name}`);
    expect(fake.deeds).to.deep.equal([...told, "boot d"]);
    expect(fake.setups.get("a")?.hosts.map(({ names }) => names[0])).to.include("d");
    const { guests } = await state();
    expect(guests).to.deep.equal(["a", "b", "c", "d"].map((name) => `${name} ready`));
  });

  it("plugs a TAP of the host in and out, and touches nothing else", async () => {
    const text = replaced("t: {}", "t: { tap: tap0 }");
    expect((await fake.apply(text)).map(changeText)).to.deep.equal(["add link t:tap0"]);
    const moved = replaced("s: { subnet", "s: { tap: tap0, subnet");
    await fake.apply(moved);
    expect((await state()).links)
      .to.include("s:tap0")
      .and.not.include("t:tap0");
    await fake.lab.removeLink("s:tap0");
    expect((await fake.apply(moved)).map(changeText)).to.deep.equal(["add link s:tap0"]);
    await fake.apply(LAB);
    expect(done()).to.deep.equal([
      "add-link t:tap0",
      "remove-link t:tap0",
      "add-link s:tap0",
      "remove-link s:tap0",
      "add-link s:tap0",
      "remove-link s:tap0",
    ]);
    expect(fake.deeds).to.deep.equal([]);
  });

  it("ends a guest that is gone, and takes its cables, its NICs and its folder", async () => {
    expect(existsSync(join(fake.folder, "g", "b"))).to.equal(true);
    await fake.apply(replaced("b: {}, ", "").replace("  - { ends: [b, s], name: lb }\n", ""));
    expect(done()).to.deep.equal(["remove-link lb", "remove-nic b:eth0"]);
    expect(fake.deeds).to.include("end b").and.not.include("end a");
    expect(existsSync(join(fake.folder, "g", "b"))).to.equal(false);
    expect(await state()).to.deep.equal({ guests: ["a ready", "c ready"], links: ["la", "lc"] });
    expect(() => fake.lab.keeper("b")).to.throw("has no guest b");
  });

  it("gives the socket of a NIC that went to another, and boots on it", async () => {
    const old = fake.specs.get("b")?.nicSockets;
    await fake.apply(
      replaced("b: {}", "d: {}").replace("[b, s], name: lb", "[d:eth0=10.0.0.4/24, s], name: ld"),
    );
    expect(fake.specs.get("d")?.nicSockets).to.deep.equal(old);
    expect((await state()).guests).to.deep.equal(["a ready", "d ready", "c ready"]);
  });

  it("restarts a guest with an interface more: its other cable stays", async () => {
    const changes = await fake.apply(`${LAB}  - { ends: [a, t], name: la2 }\n`);
    expect(changes.map(changeText)).to.deep.equal([
      "add link la2",
      "restart a (interface eth1 is new)",
    ]);
    expect(done()).to.deep.equal(["add-nic a:eth1", "add-link la2"]);
    expect(fake.deeds).to.deep.equal(["end a", "boot a"]);
    expect(fake.specs.get("a")?.nicSockets).to.have.lengthOf(2);
    expect(fake.specs.get("a")?.setup.interfaces).to.have.lengthOf(2);
  });

  it("impairs, pulls and plugs in cables in place", async () => {
    await fake.apply(replaced("name: lb", "name: lb, delay: 5ms, up: false"));
    expect(done()).to.deep.equal(["set-link lb", "link-state lb"]);
    await fake.lab.setLink("lc", { up: false });
    fake.forget();
    expect((await fake.apply(LAB)).map(changeText)).to.deep.equal([
      "change link lb (impairments; up)",
      "change link lc (up)",
    ]);
    expect(await fake.apply(LAB)).to.deep.equal([]);
    expect(fake.deeds).to.deep.equal([]);
  });

  it("puts another switch in the place of one, with its cables", async () => {
    await fake.apply(replaced("s: { subnet", "s: { ageing: 9s, subnet"));
    expect(done()).to.have.members([
      ...["la", "lb", "lc"].map((link) => `remove-link ${link}`),
      "remove-switch s",
      "add-switch s",
      ...["la", "lb", "lc"].map((link) => `add-link ${link}`),
    ]);
    expect(fake.deeds).to.deep.equal([]);
  });

  it("counts frames for what is expected now, and goes on counting for what was", async () => {
    const withSees = (...links: string[]) => {
      const sees = links.map((link) => `{ link: ${link}, filter: icmp }`);
      return `${LAB}expect: { sees: [${sees}] }\n`;
    };
    await fake.apply(withSees("la", "lb"));
    expect(fake.requests.map(({ op }) => op)).to.deep.equal(["watch-start", "watch-start"]);
    fake.forget();
    await fake.apply(withSees("lb", "lc"));
    expect(fake.requests.map(({ op }) => op)).to.deep.equal(["watch-stop", "watch-start"]);
  });

  it("does all else where a guest does not boot, says what is not done, and can go on", async () => {
    fake.broken.add("d");
    const text = `${replaced("c: {} }", "c: {}, d: {}, e: {} }")}  - [d, s]\n  - [e, s]\n`;
    const error = await fails(text);
    expect(error).to.have.property("code", "GUEST_BOOT");
    expect(error.message).to.include("guest d did not boot\nnot done: add guest d\ndone: ");
    expect(error.message).to.match(/\ndone: .*add guest e/);
    expect((await state()).guests).to.include.members(["a ready", "d failed", "e ready"]);
    fake.forget();
    fake.broken.clear();
    expect((await fake.apply(text)).map(changeText)).to.deep.equal(["start d (it failed)"]);
    expect(fake.deeds).to.deep.equal(["boot d"]);
    expect(await fake.apply(LAB)).to.have.length.greaterThan(0);
    expect((await state()).guests).to.deep.equal(["a ready", "b ready", "c ready"]);
  });

  it("changes again what a guest refused to become", async () => {
    const text = replaced("a: {}", "a: { gateway: 10.0.0.9 }");
    fake.broken.add("a");
    expect(await fails(text)).to.have.property("code", "GUEST_SETUP");
    fake.broken.clear();
    expect((await fake.apply(text)).map(changeText)).to.deep.equal([
      "change a (route default via 10.0.0.9)",
    ]);
    expect(await fake.apply(text)).to.deep.equal([]);
  });

  it("goes on from where the fabric failed in the middle", async () => {
    const text = `${replaced("lb }", "other }")}  - { ends: [a, t], name: la2 }\n`;
    fake.refuses = ({ op }) => op === "add-link";
    expect(await fails(text)).to.have.property("code", "FABRIC_FAILED");
    fake.refuses = () => false;
    expect((await state()).links).to.deep.equal(["la", "lc"]);
    await fake.apply(text);
    expect(await state()).to.deep.equal({
      guests: ["a ready", "b ready", "c ready"],
      links: ["la", "la2", "lc", "other"],
    });
    expect(await fake.apply(text)).to.deep.equal([]);
  });

  it("leaves guests that were to boot for the next time when it is interrupted", async () => {
    const text = `${replaced("c: {} }", "c: {}, d: {} }")}  - { ends: [d, s], name: ld }\n`;
    const controller = new AbortController();
    fake.refuses = ({ op }) => {
      if (op === "add-link") controller.abort(new Error("enough"));
      return false;
    };
    const error = await fake.apply(text, controller.signal).catch((e: Error) => e.message);
    expect(error).to.equal("enough");
    expect(fake.deeds).to.not.include("boot d");
    fake.refuses = () => false;
    expect((await fake.apply(text)).map(changeText)).to.deep.equal(["start d (it is stopped)"]);
  });

  it("refuses a second one at the same time, and another lab's plan", async () => {
    const first = fake.apply(replaced("a: {}", "a: { memory: 99M }"));
    const error = await fails(LAB);
    expect(error.message).to.match(/another apply is changing lab x/);
    await first;
    const other = { ...planOf(LAB), name: "y" };
    expect(() => fake.lab.differenceTo(other))
      .to.throw("the name of lab x")
      .with.property("code", "USAGE");
  });

  it("lets disks go with their guests, and gives none to a guest without", async () => {
    const left: string[] = [];
    fake.disks = {
      fileOf: (guest: string) => `/disks/${guest}`,
      leave: (guests: readonly string[]) => left.push(...guests),
    } as unknown as OpenDisks;
    await fake.apply(replaced("a: {}, b: {}", "a: { disk: 1G }, b: { disk: 1G }"));
    expect(fake.specs.get("a")?.disk).to.equal("/disks/a");
    expect(fake.specs.get("c")?.disk).to.equal(undefined);
    const without = replaced("a: {}, b: {}", "a: {}").replace(
      "  - { ends: [b, s], name: lb }\n",
      "",
    );
    await fake.apply(without);
    expect(left).to.have.members(["a", "b"]);
    expect(fake.specs.get("a")?.disk).to.equal(undefined);
  });
});
