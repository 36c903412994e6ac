import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { LabErrors } from "../../base/errors.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import { notYet } from "../../lab/topology/not-yet.ts";
import { parseTopology } from "../../lab/topology/read.ts";
import { endName } from "../../net/control/messages.ts";

const topologyOf = (text: string, env: Record<string, string> = {}, file = "/lab/x.yaml") => {
  try {
    return parseTopology(file, Buffer.from(text), env);
  } catch (error) {
    if (!(error instanceof LabErrors)) throw error;
    throw new Error(
      error.errors.map((e) => `${e.code} ${e.at?.line}:${e.at?.column} ${e.message}`).join("\n"),
    );
  }
};
const planOf = (text: string, env: Record<string, string> = {}) => makePlan(topologyOf(text, env));

type Plan = ReturnType<typeof planOf>;

const guest = (plan: Plan, name: string) => {
  const found = plan.guests.find((g) => g.name === name);
  if (found === undefined) throw new Error(`no guest ${name}`);
  return found;
};
/** `eth0 10.0.1.1/24 2001:db8::1/64`, one line an interface. */
const interfaces = (plan: Plan, name: string) =>
  guest(plan, name).setup.interfaces.map((i) => [i.name, ...i.addresses].join(" "));
const routes = (plan: Plan, name: string) =>
  guest(plan, name).setup.routes.map(({ to, via }) => `${to} via ${via}`);
const links = (plan: Plan) => plan.links.map(({ ends }) => ends.map(endName).join(" "));
const expected = (plan: Plan) =>
  Object.fromEntries(plan.pairs.map((p) => [`${p.from} -> ${p.to}`, p.expected]));

describe("makePlan", () => {
  describe("names and ranges", () => {
    it("expands h1..3 and pads h08..10, in the order of the file", () => {
      const plan = planOf("name: x\nguests: { h1..3: {}, z: {}, g08..10: {} }\n");
      expect(plan.guests.map(({ name }) => name)).to.deep.equal([
        "h1",
        "h2",
        "h3",
        "z",
        "g08",
        "g09",
        "g10",
      ]);
      expect(plan.guests.map(({ setup }) => setup.hostname)).to.deep.equal(
        plan.guests.map(({ name }) => name),
      );
    });

    it("wires a range to one switch, from either side", () => {
      const plan = planOf(
        "name: x\nguests: { h1..3: {} }\nswitches: [lan]\nlinks: [[h1..2, lan], [lan, h3]]\n",
      );
      expect(links(plan)).to.deep.equal(["h1:eth0 lan", "h2:eth0 lan", "lan h3:eth0"]);
    });

    it("pairs two ranges one to one", () => {
      const plan = planOf(
        "name: x\nguests: { h1..3: {} }\nswitches: [sw1..3]\nlinks: [[h1..3, sw1..3]]\n",
      );
      expect(links(plan)).to.deep.equal(["h1:eth0 sw1", "h2:eth0 sw2", "h3:eth0 sw3"]);
    });

    it("names links after their ends, apart where two are alike, or as the file says", () => {
      const plan = planOf(
        "name: x\nallow_loops: true\nguests: { a1..2: {} }\nswitches: [s, t]\nlinks: [[s, t], [s, t], { ends: [a1..2, s], name: up1..2 }]\n",
      );
      expect(plan.links.map(({ link }) => link)).to.deep.equal(["s--t", "s--t-2", "up1", "up2"]);
    });
  });

  describe("interfaces", () => {
    it("numbers ends in the order of the file, round those that links name", () => {
      const plan = planOf(
        "name: x\nguests: { r: {} }\nswitches: [s1..4]\nlinks: [[r, s1], [r:eth1, s2], [r, s3], [r:eth0, s4]]\n",
      );
      expect(links(plan)).to.deep.equal(["r:eth2 s1", "r:eth1 s2", "r:eth3 s3", "r:eth0 s4"]);
    });

    it("leaves no gap: eth2 alone brings eth0 and eth1", () => {
      const plan = planOf("name: x\nguests: { r: {}, s: {} }\nlinks: [[r:eth2=10.0.0.1/24, s]]\n");
      expect(interfaces(plan, "r")).to.deep.equal(["eth0", "eth1", "eth2 10.0.0.1/24"]);
    });

    it("takes an address, a list, a map, nothing, and what the link adds", () => {
      const plan = planOf(`
name: x
guests:
  r:
    interfaces:
      eth0: 10.0.0.1/24
      eth1: [10.0.1.1/24, "2001:DB8:0::1/64"]
      eth2: { addresses: 10.0.2.1/24, mac: "02:00:00:00:00:AA", mtu: 9000 }
      eth3: { addresses: [10.0.3.1/24] }
      eth4:
  s: {}
links:
  - { ends: [r:eth4=10.0.4.1/24, s], mtu: 1400 }
  - { ends: [r:eth2, s], mtu: 1300 }
`);
      expect(interfaces(plan, "r")).to.deep.equal([
        "eth0 10.0.0.1/24",
        "eth1 10.0.1.1/24 2001:db8::1/64",
        "eth2 10.0.2.1/24",
        "eth3 10.0.3.1/24",
        "eth4 10.0.4.1/24",
      ]);
      expect(guest(plan, "r").setup.interfaces.map(({ mtu }) => mtu)).to.deep.equal([
        1500, 1500, 9000, 1500, 1400,
      ]);
      expect(guest(plan, "r").setup.interfaces[2]?.mac).to.equal("02:00:00:00:00:aa");
      expect(guest(plan, "s").setup.interfaces.map(({ mtu }) => mtu)).to.deep.equal([1400, 1300]);
    });

    it("makes MAC addresses from the seed: local, unique, and not moved by a new guest", () => {
      const text = (seed: number, more: string) =>
        `name: x\nseed: ${seed}\nguests: { h1..300: {} ${more} }\nswitches: [lan]\nlinks: [[h1..300, lan]]\n`;
      const macs = (plan: Plan) =>
        plan.guests.flatMap(({ setup }) => setup.interfaces.map(({ mac }) => mac));
      const one = macs(planOf(text(1, "")));
      expect(new Set(one).size).to.equal(300);
      for (const mac of one) expect(mac).to.match(/^02(:[0-9a-f]{2}){5}$/);
      expect(macs(planOf(text(1, ", extra: {}")))).to.deep.equal(one);
      expect(macs(planOf(text(2, "")))).to.not.deep.equal(one);
    });
  });

  describe("automatic addresses", () => {
    it("come from the switch's subnets, in the order of the file, past those taken", () => {
      const plan = planOf(`
name: x
guests: { a: {}, b: {}, c: {}, d: {} }
switches: { lan: { subnet: 10.0.0.0/29, subnet6: "2001:db8::/64" } }
links:
  - [a, lan]
  - [b:eth0=10.7.0.7/24, c]
  - ["c:eth1=2001:db8::1/64", lan]
  - [d:eth0=10.0.0.2/29, lan]
  - [b, lan]
`);
      expect(interfaces(plan, "a")).to.deep.equal(["eth0 10.0.0.1/29 2001:db8::2/64"]);
      expect(interfaces(plan, "c")).to.deep.equal(["eth0", "eth1 2001:db8::1/64 10.0.0.3/29"]);
      expect(interfaces(plan, "d")).to.deep.equal(["eth0 10.0.0.2/29 2001:db8::3/64"]);
      expect(interfaces(plan, "b")).to.deep.equal([
        "eth0 10.7.0.7/24",
        "eth1 10.0.0.4/29 2001:db8::4/64",
      ]);
    });

    it("come from a cable's own subnet; a /31 has two", () => {
      const plan = planOf(
        'name: x\nguests: { a: {}, b: {} }\nlinks: [{ ends: [a, b], subnet: 10.0.0.0/31, subnet6: "2001:db8::/127" }]\n',
      );
      expect(interfaces(plan, "a")).to.deep.equal(["eth0 10.0.0.0/31 2001:db8::/127"]);
      expect(interfaces(plan, "b")).to.deep.equal(["eth0 10.0.0.1/31 2001:db8::1/127"]);
    });
  });

  describe("routes", () => {
    it("takes gateways of both families and routes as they are written", () => {
      const plan = planOf(`
name: x
guests:
  a:
    interfaces: { eth0: [10.0.1.10/24, "2001:db8:1::10/64"] }
    gateway: [10.0.1.1, "2001:db8:1::1"]
    routes: [10.9.0.0/16 via 10.0.1.254, "2001:db8:9::/48 via 2001:db8:1::2"]
`);
      expect(routes(plan, "a")).to.deep.equal([
        "default via 10.0.1.1",
        "default via 2001:db8:1::1",
        "10.9.0.0/16 via 10.0.1.254",
        "2001:db8:9::/48 via 2001:db8:1::2",
      ]);
    });

    it("takes a switch's gateway, but not for routers and not over a guest's own", () => {
      const plan = planOf(`
name: x
guests: { a: {}, b: { gateway: 10.0.1.99 }, r1: { forward: true }, r2: { forward: true } }
switches: { lan: { subnet: 10.0.1.0/24, subnet6: "2001:db8:1::/64", gateway: r1 } }
links: [[r1, lan], [r2, lan], [a, lan], [b, lan]]
`);
      expect(routes(plan, "a")).to.deep.equal([
        "default via 10.0.1.1",
        "default via 2001:db8:1::1",
      ]);
      expect(routes(plan, "b")).to.deep.equal([
        "default via 10.0.1.99",
        "default via 2001:db8:1::1",
      ]);
      expect(routes(plan, "r1")).to.deep.equal([]);
      expect(routes(plan, "r2")).to.deep.equal([]);
    });

    it("takes a gateway of `defaults` for all but the gateway itself", () => {
      const plan = planOf(`
name: x
defaults: { gateway: 10.0.1.1 }
guests: { r: {}, a: {} }
switches: { lan: { subnet: 10.0.1.0/24 } }
links: [[r, lan], [a, lan]]
`);
      expect(routes(plan, "r")).to.deep.equal([]);
      expect(routes(plan, "a")).to.deep.equal(["default via 10.0.1.1"]);
    });

    const ring = `
name: ring
routing: static
guests: { h1..4: {}, r1..4: { forward: true } }
links:
  - { ends: [r1, h1], subnet: 10.1.1.0/24, subnet6: "2001:db8:1::/64" }
  - { ends: [r2, h2], subnet: 10.1.2.0/24, subnet6: "2001:db8:2::/64" }
  - { ends: [r3, h3], subnet: 10.1.3.0/24 }
  - { ends: [r4, h4], subnet: 10.1.4.0/24 }
  - { ends: [r1, r2], subnet: 10.0.12.0/30, subnet6: "2001:db8:12::/64" }
  - { ends: [r2, r3], subnet: 10.0.23.0/30 }
  - { ends: [r3, r4], subnet: 10.0.34.0/30 }
  - { ends: [r4, r1], subnet: 10.0.41.0/30, up: UP }
`;

    it("static: the shortest way to every subnet in both families, ties by the order of the file", () => {
      const plan = planOf(ring.replace("UP", "true"));
      expect(routes(plan, "r1")).to.deep.equal([
        "10.1.2.0/24 via 10.0.12.2",
        "10.1.3.0/24 via 10.0.12.2", // as far by r4: r2 is on the earlier interface
        "10.1.4.0/24 via 10.0.41.1",
        "10.0.23.0/30 via 10.0.12.2",
        "10.0.34.0/30 via 10.0.41.1",
        "2001:db8:2::/64 via 2001:db8:12::2",
      ]);
      expect(routes(plan, "h1")).to.deep.equal([
        "default via 10.1.1.1",
        "default via 2001:db8:1::1",
      ]);
      expect(routes(plan, "h3")).to.deep.equal(["default via 10.1.3.1"]);
    });

    it("static: goes round a cable that starts pulled", () => {
      const plan = planOf(ring.replace("UP", "false"));
      expect(routes(plan, "r1").filter((r) => r.startsWith("10.1."))).to.deep.equal([
        "10.1.2.0/24 via 10.0.12.2",
        "10.1.3.0/24 via 10.0.12.2",
        "10.1.4.0/24 via 10.0.12.2",
      ]);
    });

    it("static: reaches through several switches, not across VLANs, and leaves the file's routes alone", () => {
      const plan = planOf(`
name: x
routing: static
guests:
  a: {}
  b: { gateway: 10.0.2.9 }
  r1: { forward: true, routes: [10.0.3.0/24 via 10.0.2.77] }
  r2: { forward: true }
  c: {}
switches: { s1: {}, s2: {} }
links:
  - { ends: [a:eth0=10.0.1.2/24, s1], vlan: 10 }
  - { ends: [s1, s2], trunk: [10, 20] }
  - { ends: [r1:eth0=10.0.1.1/24, s2], vlan: 10 }
  - { ends: [r1:eth1=10.0.2.1/24, s2], vlan: 20 }
  - { ends: [r2:eth0=10.0.2.2/24, s1], vlan: 20 }
  - { ends: [b:eth0=10.0.2.3/24, s1], vlan: 20 }
  - [r2:eth1=10.0.3.1/24, c:eth0=10.0.3.2/24]
`);
      expect(routes(plan, "a")).to.deep.equal(["default via 10.0.1.1"]);
      expect(routes(plan, "b")).to.deep.equal(["default via 10.0.2.9"]);
      expect(routes(plan, "r1")).to.deep.equal(["10.0.3.0/24 via 10.0.2.77"]);
      expect(routes(plan, "r2")).to.deep.equal(["10.0.1.0/24 via 10.0.2.1"]);
      expect(routes(plan, "c")).to.deep.equal(["default via 10.0.3.1"]);
    });
  });

  describe("guests' keys", () => {
    it("merges defaults: own keys win, maps are merged, lists replaced", () => {
      const plan = planOf(`
name: x
kernel: debian
defaults:
  memory: 64M
  sysctl: { net.ipv4.conf.all.rp_filter: 0, net.core.somaxconn: 9 }
  env: { A: 1, B: two }
  run: ["echo default"]
  isolation: strict
guests:
  a: {}
  b: { memory: 1G, sysctl: { net.core.somaxconn: 10 }, env: { B: "" }, run: ["echo own"], forward: true, kernel: lean, isolation: fast }
`);
      const [a, b] = plan.guests;
      expect(a).to.include({
        memoryBytes: 64 << 20,
        isolation: "strict",
        kernel: "debian",
        forward: false,
      });
      expect(a?.setup.sysctl).to.deep.equal({
        "net.ipv4.conf.all.rp_filter": "0",
        "net.core.somaxconn": "9",
      });
      expect(a?.setup.env).to.deep.equal({ A: "1", B: "two" });
      expect(a?.setup.run).to.deep.equal(["echo default"]);
      expect(b).to.include({
        memoryBytes: 1 << 30,
        isolation: "fast",
        kernel: "lean",
        forward: true,
      });
      expect(b?.setup.sysctl).to.deep.equal({
        "net.ipv4.ip_forward": "1",
        "net.ipv6.conf.all.forwarding": "1",
        "net.ipv4.conf.all.rp_filter": "0",
        "net.core.somaxconn": "10",
      });
      expect(b?.setup.env).to.deep.equal({ A: "1", B: "" });
      expect(b?.setup.run).to.deep.equal(["echo own"]);
    });

    it("reads files, relative to the topology, with octal modes however they are written", () => {
      const folder = mkdtempSync(join(tmpdir(), "uml-lab-test-"));
      try {
        writeFileSync(join(folder, "motd"), Buffer.from([0, 255, 10]));
        writeFileSync(join(folder, "script"), "#!/bin/sh\n", { mode: 0o755 });
        const text = `
name: x
guests:
  a:
    files:
      /etc/motd: { from: ./motd, mode: 0600 }
      /bin/script: { from: script }
      /etc/issue: "hello $\${HOME}\\n"
      /bin/x: { text: "x", mode: "755" }
      /bin/y: { text: "y", mode: 0o711 }
`;
        const plan = makePlan(topologyOf(text, {}, join(folder, "x.yaml")));
        const files = plan.guests[0]?.setup.files.map(({ path, content, mode }) => [
          path,
          Buffer.from(content).toString("latin1"),
          mode.toString(8),
        ]);
        expect(files).to.deep.equal([
          ["/etc/motd", "\x00\xff\n", "600"],
          ["/bin/script", "#!/bin/sh\n", "755"],
          ["/etc/issue", "hello ${HOME}\n", "644"],
          ["/bin/x", "x", "755"],
          ["/bin/y", "y", "711"],
        ]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    it("tells every guest every other by name, the nearest address first", () => {
      const plan = planOf(`
name: x
guests: { a: {}, r: { forward: true }, b: {} }
links: [[r:eth0=10.0.1.1/24, a:eth0=10.0.1.2/24], [r:eth1=10.0.2.1/24, b:eth0=10.0.2.2/24]]
`);
      const hosts = (name: string) =>
        guest(plan, name).setup.hosts.map((h) => `${h.address} ${h.names.join(" ")}`);
      expect(hosts("a")).to.deep.equal(["10.0.1.2 a", "10.0.1.1 r", "10.0.2.1 r", "10.0.2.2 b"]);
      expect(hosts("b")).to.deep.equal(["10.0.1.2 a", "10.0.2.1 r", "10.0.1.1 r", "10.0.2.2 b"]);
    });
  });

  describe("links", () => {
    it("reads every impairment, `from` over both ways, VLANs and a pulled cable", () => {
      const plan = planOf(`
name: x
guests: { a: {}, b: {} }
switches: [s]
links:
  - { ends: [a, b], delay: 5ms, jitter: 200us, loss: 1%, duplicate: 0.1%, corrupt: 2%, reorder: 3%, rate: 10Mbit, queue: 64K, from: { b: { delay: 1.5s, queue: 100 } } }
  - { ends: [a, s], vlan: 1, trunk: [30, 10, 30], up: false }
`);
      const both = {
        jitterNs: 200_000,
        loss: 0.01,
        duplicate: 0.001,
        corrupt: 0.02,
        reorder: 0.03,
        rateBitsPerSec: 10_000_000,
      };
      expect(plan.links[0]?.impairments).to.deep.equal([
        { ...both, delayNs: 5_000_000, queue: { bytes: 65536 } },
        { ...both, delayNs: 1_500_000_000, queue: { frames: 100 } },
      ]);
      expect(plan.links[1]).to.deep.include({
        up: false,
        ends: [
          { kind: "nic", nic: "a:eth1" },
          { kind: "switch", switch: "s", vlan: 1, trunk: [10, 30] },
        ],
        impairments: [{}, {}],
      });
      expect(plan.links[0]?.seed).to.not.equal(plan.links[1]?.seed);
    });

    it("reads switches as list and as map", () => {
      expect(
        planOf("name: x\nguests: { a: {} }\nswitches: { s: { hub: true, ageing: 10s }, t: }\n")
          .switches,
      ).to.deep.equal([
        { switch: "s", hub: true, ageingMs: 10_000 },
        { switch: "t", hub: false, ageingMs: 300_000 },
      ]);
    });

    it("accepts a loop of switches where allow_loops says so, where a cable is pulled, or on two VLANs", () => {
      const head = "name: x\nguests: { a: {} }\nswitches: [s, t]\n";
      for (const text of [
        `allow_loops: true\n${head}links: [[s, t], [s, t]]\n`,
        `${head}links: [[s, t], { ends: [s, t], up: false }]\n`,
        `${head}links: [{ ends: [s, t], vlan: 10 }, { ends: [s, t], vlan: 20 }]\n`,
      ]) {
        expect(planOf(text).links).to.have.length(2);
      }
    });
  });

  describe("expectations", () => {
    const guests =
      "name: x\nguests: { a: {}, b: {}, c: {} }\nlinks: [[a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24]]\n";

    it("are that all reach all when the file says nothing (or settle alone)", () => {
      for (const more of ["", "expect:\n", "expect: { settle: 20s }\n"]) {
        const plan = planOf(guests + more);
        expect(plan.pairs).to.have.length(6);
        expect(new Set(plan.pairs.map((p) => p.expected))).to.deep.equal(new Set(["reach"]));
      }
      expect(planOf(guests).settleMs).to.equal(10_000);
      expect(planOf(`${guests}expect: { settle: 1m }\n`).settleMs).to.equal(60_000);
    });

    it("are one way or both, and a pair in neither list is measured only", () => {
      expect(
        expected(planOf(`${guests}expect: { reach: ["a -> b", "b <-> c"], isolate: ["c->a"] }\n`)),
      ).to.deep.equal({
        "a -> b": "reach",
        "a -> c": null,
        "b -> a": null,
        "b -> c": "reach",
        "c -> a": "isolate",
        "c -> b": "reach",
      });
      expect(
        new Set(
          planOf(`${guests}expect: { checks: [{ on: a, run: "true" }] }\n`).pairs.map(
            (p) => p.expected,
          ),
        ),
      ).to.deep.equal(new Set([null]));
    });

    it("leave out what nothing is said of in labs of more than 50 guests", () => {
      const ring = (count: number) =>
        planOf(`name: x\nguests: { h1..${count}: {} }\nexpect: { reach: ["h1 -> h2"] }\n`).pairs;
      expect(ring(50)).to.have.length(50 * 49);
      expect(ring(51).map(({ from, to }) => `${from} ${to}`)).to.deep.equal(["h1 h2"]);
    });

    it("let the more exact rule win, and isolate among equals", () => {
      const plan = planOf(
        "name: x\nguests: { h1..3: {}, s: {} }\nexpect: { reach: ['* -> *', 'h1 -> s'], isolate: ['h1..2 -> *', 'h1..3 -> h1..3'] }\n",
      );
      expect(expected(plan)).to.deep.equal({
        "h1 -> h2": "isolate",
        "h1 -> h3": "isolate",
        "h1 -> s": "reach",
        "h2 -> h1": "isolate",
        "h2 -> h3": "isolate",
        "h2 -> s": "isolate",
        "h3 -> h1": "isolate",
        "h3 -> h2": "isolate",
        "h3 -> s": "reach",
        "s -> h1": "reach",
        "s -> h2": "reach",
        "s -> h3": "reach",
      });
    });

    it("probe every address of the other", () => {
      const plan = planOf(
        'name: x\nguests: { a: {}, b: { interfaces: { eth0: [10.0.0.2/24, "2001:db8::2/64"], eth1: 10.1.0.2/24 } } }\n',
      );
      expect(plan.pairs[0]).to.deep.equal({
        from: "a",
        to: "b",
        addresses: ["10.0.0.2", "2001:db8::2", "10.1.0.2"],
        expected: "reach",
      });
      expect(plan.pairs[1]?.addresses).to.deep.equal([]);
    });

    it("read checks: regular expression or plain text, defaults, ranges of guests", () => {
      const plan = planOf(`
name: x
guests: { h1..2: {} }
expect:
  settle: 5s
  checks:
    - { on: h1, run: "ip route", output: /^default via/, exit: 3, within: 2s, points: 2.5, name: has a route }
    - { on: h1..2, run: cat /etc/hosts, output: /etc }
`);
      expect(plan.checks).to.deep.equal([
        {
          name: "has a route",
          on: "h1",
          run: "ip route",
          output: { regexp: "^default via" },
          exit: 3,
          withinMs: 2000,
          points: 2.5,
        },
        ...["h1", "h2"].map((on) => ({
          name: `cat /etc/hosts (${on})`,
          on,
          run: "cat /etc/hosts",
          output: { contains: "/etc" },
          exit: 0,
          withinMs: 5000,
          points: 1,
        })),
      ]);
    });
  });

  describe("the environment", () => {
    it("replaces variables anywhere but in comments, and keeps the types of what stands alone", () => {
      const plan = planOf(
        `
name: \${NAME}-lab # \${NOT_REPLACED}
description: "it costs $$5 and \${WHAT:-nothing}; \${EMPTY:-empty} \${EMPTY-} \${NAME:+set} \${A:-\${NAME}}"
seed: \${SEED}
guests:
  h1..\${N:-3}: { forward: \${FORWARD:-true}, memory: \${MEM:-48M}, run: ["echo $HOME $$HOME $\${HOME}"] }
switches: [lan]
links: [[h1..\${N:-3}, lan]]
`,
        { NAME: "two", SEED: "42", EMPTY: "" },
      );
      expect(plan.name).to.equal("two-lab");
      expect(plan.description).to.equal("it costs $5 and nothing; empty  set two");
      expect(plan.seed).to.equal(42);
      expect(plan.guests).to.have.length(3);
      expect(plan.links).to.have.length(3);
      expect(plan.guests[0]).to.include({ forward: true, memoryBytes: 48 << 20 });
      expect(plan.guests[0]?.setup.run).to.deep.equal(["echo $HOME $HOME ${HOME}"]);
    });

    it("gives a text where a text is wanted, whatever it looks like", () => {
      const plan = planOf(
        "name: x\ndescription: ${N}\nguests: { a: { run: [${T}], gateway: ${G}, env: { A: ${N} }, interfaces: { eth0: 10.0.0.2/24 } } }\n",
        { N: "5", T: "true", G: "10.0.0.1" },
      );
      expect(plan.description).to.equal("5");
      expect(plan.guests[0]?.setup.run).to.deep.equal(["true"]);
      expect(plan.guests[0]?.setup.env).to.deep.equal({ A: "5" });
    });

    it("cannot change the structure of the file, and keeps positions", () => {
      const plan = planOf("name: x\ndescription: ${D}\nguests: { a: {} }\n", {
        D: "x\nguests: [{",
      });
      expect(plan.description).to.equal("x\nguests: [{");
      try {
        parseTopology(
          "/lab/x.yaml",
          Buffer.from("name: ${LONG}\nguests: { a: { memory: ${M}, frward: true } }\n"),
          { LONG: "very-long-name-indeed", M: "64M" },
        );
        expect.fail("no error");
      } catch (error) {
        expect(
          (error as LabErrors).errors.map((e) => [e.code, e.at?.line, e.at?.column]),
        ).to.deep.equal([["UNKNOWN_KEY", 2, 30]]);
      }
    });
  });

  describe("YAML", () => {
    it("follows anchors, aliases and merges", () => {
      const plan = planOf(
        "name: x\nguests:\n  a: &host { memory: 64M, run: [echo] }\n  b: *host\n  c: { <<: *host, memory: 128M }\n",
      );
      expect(plan.guests.map(({ memoryBytes }) => memoryBytes)).to.deep.equal([
        64 << 20,
        64 << 20,
        128 << 20,
      ]);
      expect(plan.guests[2]?.setup.run).to.deep.equal(["echo"]);
    });

    it("refuses aliases that multiply", () => {
      const bomb = [
        "name: x",
        "guests: { a: {} }",
        "links:",
        "  - &a [x, x, x, x, x, x, x, x, x, x]",
        ..."bcdefgh"
          .split("")
          .map((c, i) => `  - &${c} [${Array(10).fill(`*${"abcdefgh"[i]}`).join(", ")}]`),
      ].join("\n");
      expect(() => parseTopology("/lab/x.yaml", Buffer.from(bomb), {}))
        .to.throw(LabErrors)
        .with.property("errors")
        .that.satisfies((errors: readonly Error[]) =>
          errors.some((e) => e.message.includes("too large")),
        );
    });

    it("accepts a byte order mark and CR LF", () => {
      expect(planOf("\ufeffname: x\r\nguests:\r\n  a:\r\n").guests).to.have.length(1);
    });
  });

  it("is the same for the same file, and plain data", () => {
    const text =
      "name: x\nrouting: static\nguests: { h1..20: {}, r: { forward: true } }\nswitches: { l1: { subnet: 10.1.0.0/24 }, l2: { subnet: 10.2.0.0/24 } }\nlinks: [[h1..10, l1], [h11..20, l2], [r, l1], [r, l2]]\n";
    expect(JSON.stringify(planOf(text))).to.equal(JSON.stringify(planOf(text)));
    expect(JSON.parse(JSON.stringify(planOf(text).links))).to.deep.equal(planOf(text).links);
  });
});

describe("notYet", () => {
  it("names every use of what a lab cannot do yet, with its place", () => {
    const topology = topologyOf(`
name: x
clock: virtual
guests:
  a: { image: router, disk: 1G, internet: true, ports: ["8080:80"], frr: "router ospf" }
  b: { internet: false }
links: [{ ends: [a, b], name: core }]
expect: { routes: { a: [10.0.0.0/8 via 10.1.1.1] } }
`);
    const found = notYet(topology).map((e) => `${e.code} ${e.at?.line}:${e.at?.column}`);
    expect(found).to.deep.equal(["NOT_YET 3:1"]);
    for (const { hint, excerpt } of notYet(topology)) {
      expect(hint).to.be.a("string");
      expect(excerpt).to.include("^");
    }
  });
});
