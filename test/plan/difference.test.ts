import { expect } from "chai";
import type { GuestState } from "../../lab/api.ts";
import { changeText } from "../../lab/plan/change.ts";
import { differenceOf, type RunningState } from "../../lab/plan/difference.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import type { LabPlan } from "../../lab/plan/plan.ts";
import { type GivenAddresses, NONE_GIVEN } from "../../lab/topology/addresses.ts";
import { parseTopology } from "../../lab/topology/read.ts";

const planOf = (text: string, given: GivenAddresses = NONE_GIVEN): LabPlan =>
  makePlan(parseTopology("/lab/x.yaml", Buffer.from(`name: x\n${text}`), {}, undefined, given));

/** A lab that is what the plan says. */
const running = (plan: LabPlan, change: Partial<RunningState> = {}): RunningState => ({
  plan,
  guests: plan.guests.map((guest) => ({ plan: guest, state: "ready" })),
  switches: plan.switches,
  links: plan.links,
  waysOut: plan.guests.filter(({ outlet }) => outlet !== null).map(({ name }) => name),
  ...change,
});
const between = (before: string, after: string) =>
  differenceOf(running(planOf(before)), planOf(after)).map(changeText);

const LAB = `
guests:
  a: {}
  b: { sysctl: { net.ipv4.ip_default_ttl: 60 } }
  r: { forward: true }
switches: { lan: { subnet: 10.0.0.0/24 }, lan2: {} }
links:
  - { ends: [a, lan], name: la }
  - { ends: [b, lan], name: lb, delay: 10ms }
  - { ends: [r, lan], name: lr }
`;
const replaced = (what: string, by: string) => {
  expect(LAB).to.include(what);
  return LAB.replace(what, by);
};

describe("what differs between a running lab and a plan", () => {
  it("is nothing where nothing differs", () => {
    expect(between(LAB, LAB)).to.deep.equal([]);
  });

  it("is nothing where only the order of the file differs, and addresses are kept", () => {
    const before = planOf(LAB);
    const given = new Map(
      before.guests.map(({ name, setup }) => [
        `${name}:eth0`,
        setup.interfaces.flatMap((one) => one.addresses),
      ]),
    );
    const [first, second] = [
      "  - { ends: [a, lan], name: la }\n",
      "  - { ends: [r, lan], name: lr }",
    ];
    const turned = LAB.replace(first, "").replace(second, `${second}\n${first}`);
    expect(differenceOf(running(before), planOf(turned, given))).to.deep.equal([]);
    // without what they have, the first of the file would have the first address
    expect(differenceOf(running(before), planOf(turned)).map(changeText)).to.include(
      "change a (eth0: 10.0.0.3/24; /etc/hosts)",
    );
  });

  it("tells of guests that come and go, with their links, and of the others only their host table", () => {
    const more = LAB.replace("  a: {}\n", "  a: {}\n  n: {}\n").replace(
      "links:\n",
      "links:\n  - { ends: [n:eth0=10.0.0.9/24, lan], name: ln }\n",
    );
    const others = ["a", "b", "r"].map((name) => `change ${name} (/etc/hosts)`);
    expect(between(LAB, more)).to.have.members(["add guest n", "add link ln", ...others]);
    expect(between(more, LAB)).to.have.members(["remove guest n", "remove link ln", ...others]);
  });

  it("puts first what goes, then what changes, then what comes", () => {
    const text = replaced("  b: { sysctl: { net.ipv4.ip_default_ttl: 60 } }\n", "  c: {}\n")
      .replace("{ ends: [b, lan], name: lb, delay: 10ms }", "{ ends: [c, lan], name: lc }")
      .replace("lan2: {}", "lan2: { hub: true }")
      .replace("r: { forward: true }", "r: { forward: true, memory: 64M }");
    const actions = differenceOf(running(planOf(LAB)), planOf(text)).map(({ action }) => action);
    expect([...new Set(actions)]).to.deep.equal(["remove", "replace", "change", "add", "restart"]);
  });

  describe("in links", () => {
    it("changes impairments and carriers in place", () => {
      const change = (by: string) => between(LAB, replaced("delay: 10ms", by));
      expect(change("delay: 20ms")).to.deep.equal(["change link lb (impairments)"]);
      expect(change("up: false")).to.deep.equal(["change link lb (impairments; down)"]);
      expect(change("delay: 10ms, loss: 1%, up: false")).to.deep.equal([
        "change link lb (impairments; down)",
      ]);
    });

    it("plugs others in where they lead elsewhere, or VLANs differ", () => {
      expect(
        between(LAB, replaced("[b, lan], name: lb", "[b:eth0=10.0.0.2/24, lan2], name: lb")),
      ).to.deep.equal(["replace link lb (it leads to lan2, not to lan)"]);
      expect(between(LAB, replaced("delay: 10ms", "delay: 10ms, vlan: 7"))).to.deep.equal([
        "replace link lb (the VLANs at lan are others)",
      ]);
      expect(between(LAB, replaced("name: lb", "name: other"))).to.deep.equal([
        "remove link lb",
        "add link other",
      ]);
    });

    it("sees what was done by hand: pulled, impaired, added, removed", () => {
      const plan = planOf(LAB);
      const [la, lb, lr] = plan.links;
      if (la === undefined || lb === undefined || lr === undefined) throw new Error("three links");
      const links = [
        { ...la, up: false },
        { ...lb, impairments: [{}, {}] as const },
        { ...lr, link: "extra" },
      ];
      expect(differenceOf(running(plan, { links }), plan).map(changeText)).to.deep.equal([
        "remove link extra",
        "change link la (up)",
        "change link lb (impairments)",
        "add link lr",
      ]);
    });

    it("plugs in anew what hangs on a switch or an interface that is another", () => {
      expect(between(LAB, replaced("10.0.0.0/24 }", "10.0.0.0/24, ageing: 10s }"))).to.deep.equal([
        "replace switch lan (ageing is 10 s)",
        ...["la", "lb", "lr"].map((link) => `replace link ${link} (lan is replaced)`),
      ]);
      expect(between(LAB, replaced("name: la }", "name: la, mtu: 9000 }"))).to.deep.equal([
        "replace link la (a:eth0 is replaced)",
        "restart a (the MTU of eth0 is 9000)",
      ]);
      expect(between(LAB, replaced("lan2: {}", "lan2: { hub: true }"))).to.deep.equal([
        "replace switch lan2 (it is a hub now)",
      ]);
      expect(between(LAB, replaced(", lan2: {}", ""))).to.deep.equal(["remove switch lan2"]);
    });
  });

  describe("in a guest", () => {
    const B = "b: { sysctl: { net.ipv4.ip_default_ttl: 60 } }";
    const guest = (by: string, from = "a: {}") => between(LAB, replaced(from, by));

    it("changes in place what comes out as after a boot", () => {
      expect(guest("a: { gateway: 10.0.0.3 }")).to.deep.equal([
        "change a (route default via 10.0.0.3)",
      ]);
      expect(guest("a: { sysctl: { net.ipv4.ip_default_ttl: 9 } }")).to.deep.equal([
        "change a (sysctl net.ipv4.ip_default_ttl)",
      ]);
      expect(guest("a: { files: { /etc/motd: hi } }")).to.deep.equal(["change a (/etc/motd)"]);
      expect(guest("a: { env: { A: b } }")).to.deep.equal(["change a (environment: A)"]);
      const own = "{ interfaces: { eth0: 10.0.0.77/24 } }";
      expect(between(LAB, replaced("r: { forward: true }", `r: ${own}`))).to.deep.include(
        "restart r (sysctl net.ipv4.ip_forward is gone, and its default is not known; " +
          "sysctl net.ipv6.conf.all.forwarding is gone, and its default is not known)",
      );
      expect(guest(`a: ${own}`)).to.include("change a (eth0: 10.0.0.77/24; /etc/hosts)");
    });

    it("restarts it for what its kernel was booted with, and says what", () => {
      const restarts: Record<string, string> = {
        "{ image: router }": "its image is router",
        "{ memory: 64M }": "its memory is 64 MiB",
        "{ kernel: debian }": "its kernel is debian",
        "{ isolation: strict }": "isolation is strict",
        "{ disk: 1G }": "its disk is new",
        "{ run: [ls] }": "`run` differs",
        "{ interfaces: { eth1: 10.9.0.1/24 } }": "interface eth1 is new",
        '{ interfaces: { eth0: { mac: "02:00:00:00:00:09" } } }':
          "the MAC address of eth0 is 02:00:00:00:00:09",
      };
      for (const [keys, why] of Object.entries(restarts)) {
        expect(guest(`a: ${keys}`), keys).to.include(`restart a (${why})`);
      }
      expect(guest("b: {}", B)).to.deep.equal([
        "restart b (sysctl net.ipv4.ip_default_ttl is gone, and its default is not known)",
      ]);
    });

    it("restarts it for a file that something in it may have read, and for one that is gone", () => {
      const file = (text: string) => `files: { /etc/x: ${text} }`;
      const change = (before: string, after: string) =>
        between(replaced("a: {}", `a: { ${before} }`), replaced("a: {}", `a: { ${after} }`));
      expect(change(file("one"), file("two"))).to.deep.equal(["change a (/etc/x)"]);
      expect(change(`${file("one")}, run: [ls]`, `${file("two")}, run: [ls]`)).to.deep.equal([
        "restart a (/etc/x differs, and `run` may have read it)",
      ]);
      expect(change(file("one"), "")).to.deep.equal(["restart a (/etc/x is gone)"]);
      const ospf = (cost: number) =>
        `image: router, frr: "router ospf\\n interface eth0\\n ip ospf cost ${cost}\\n"`;
      expect(change(ospf(1), ospf(2))).to.deep.equal([
        "restart a (/etc/frr/frr.conf differs, and FRR may have read it)",
      ]);
    });

    it("leaves a disk that is to be smaller as it is, and restarts for one that is to grow", () => {
      const change = (before: string, after: string) =>
        between(replaced("a: {}", `a: ${before}`), replaced("a: {}", `a: ${after}`));
      expect(change("{ disk: 2G }", "{ disk: 1G }")).to.deep.equal([]);
      expect(change("{ disk: 1G }", "{ disk: 2G }")).to.deep.equal([
        "restart a (its disk has 2 GiB)",
      ]);
      expect(change("{ disk: 1G }", "{}")).to.deep.equal(["restart a (it has no disk now)"]);
    });

    it("starts it where it does not run, and resumes it where it is paused", () => {
      const plan = planOf(LAB);
      const states: Record<string, GuestState> = { a: "failed", b: "stopped", r: "paused" };
      const guests = plan.guests.map((guest) => ({
        plan: guest,
        state: states[guest.name] as GuestState,
      }));
      expect(differenceOf(running(plan, { guests }), plan).map(changeText)).to.deep.equal([
        "start a (it failed)",
        "start b (it is stopped)",
        "resume r (it is paused)",
      ]);
    });

    it("opens its way out anew for its ports alone, or where it is gone", () => {
      const with80 = replaced("a: {}", 'a: { ports: ["8080:80"] }');
      const with81 = replaced("a: {}", 'a: { ports: ["8081:80"] }');
      expect(between(with80, with81)).to.deep.equal([
        "replace the way out of a (its ports differ)",
      ]);
      const plan = planOf(with80);
      expect(differenceOf(running(plan, { waysOut: [] }), plan).map(changeText)).to.deep.equal([
        "replace the way out of a (it is gone)",
      ]);
      expect(between(LAB, with80)).to.include("restart a (interface internet is new)");
      expect(between(with80, LAB)).to.include("restart a (interface internet is gone)");
      expect(between(with80, replaced("a: {}", "a: { internet: true }")).join()).to.match(
        /^restart a \(.*its way out differs/,
      );
    });
  });

  it("tells where other things are judged than before", () => {
    const change = (more: string) => between(LAB, `${LAB}${more}`);
    expect(change('expect: { reach: ["a -> b"] }\n')).to.deep.equal([
      "replace what is judged: expect (who reaches whom)",
    ]);
    const all = 'reach: ["* -> *"]';
    const checks = "checks: [{ name: n, on: a, run: ls }]";
    expect(change(`expect: { ${all}, settle: 3s, ${checks} }\n`)).to.deep.equal([
      "replace what is judged: expect (checks; settle is 3 s)",
    ]);
    expect(change("events: [{ at: 1s, link: la, up: false }]\n")).to.deep.equal([
      "replace what is judged: events",
    ]);
  });
});
