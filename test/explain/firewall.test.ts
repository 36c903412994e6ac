import { expect } from "chai";
import {
  guilty,
  hasDropped,
  parseIptables,
  parseNftables,
  parseTrafficControl,
} from "../../lab/explain/firewall.ts";

const filter = (pref: number, type: string, packets: number) => ({
  protocol: "ip",
  pref,
  kind: "flower",
  options: {
    handle: 1,
    keys: { eth_type: "ipv4", ip_proto: "icmp" },
    actions: [{ kind: "gact", control_action: { type }, index: pref, stats: { packets } }],
  },
});

describe("rules that drop", () => {
  it("are told from tc's other filters", () => {
    const rules = parseTrafficControl(
      [filter(3, "pass", 9), filter(7, "drop", 2)],
      "eth0",
      "ingress",
    );
    expect(rules).to.have.lengthOf(1);
    expect(rules[0]).to.include({
      name: "tc filter 7 at the ingress of eth0 (ip_proto icmp)",
      verdict: "drop",
      packets: 2,
      hook: "ingress",
    });
  });

  it("are told from nftables' rules and policies", () => {
    const chain = { family: "inet", table: "filter", name: "forward" };
    const match = {
      op: "==",
      left: { payload: { protocol: "ip", field: "daddr" } },
      right: { prefix: { addr: "10.0.2.0", len: 24 } },
    };
    const rules = parseNftables({
      nftables: [
        { metainfo: {} },
        { chain: { ...chain, hook: "forward", policy: "drop" } },
        {
          rule: {
            family: "inet",
            table: "filter",
            chain: "forward",
            handle: 2,
            expr: [{ match }, { counter: { packets: 5, bytes: 1 } }, { reject: { type: "icmpx" } }],
          },
        },
        { rule: { family: "inet", table: "filter", chain: "forward", expr: [{ accept: null }] } },
      ],
    });
    expect(
      rules.map(({ verdict, packets, isPolicy }) => [verdict, packets, isPolicy]),
    ).to.deep.equal([
      ["reject", 5, false],
      ["drop", null, true],
    ]);
    expect(rules[0]?.name).to.include("ip daddr 10.0.2.0/24 reject").and.include("chain forward");
  });

  it("are told from iptables-save", () => {
    const text =
      "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [3:252]\n[2:168] -A INPUT -p icmp -j REJECT --reject-with x\n[1:9] -A INPUT -p tcp -j ACCEPT\nCOMMIT\n";
    const rules = parseIptables("iptables", text);
    expect(rules.map(({ verdict, packets, hook }) => [verdict, packets, hook])).to.deep.equal([
      ["drop", 3, "forward"],
      ["reject", 2, "input"],
    ]);
  });
});

describe("the rule that did it", () => {
  const rule = parseTrafficControl([filter(7, "drop", 2)], "eth0", "ingress")[0]!;
  const silent = { ...rule, key: "silent", packets: null, hook: "forward" };

  it("is the one that counted", () => {
    const after = [silent, { ...rule, packets: 3 }];
    expect(guilty([rule], after, ["forward"])).to.deep.equal({ rule: after[1], sure: true });
  });

  it("is none of those that count and did not", () => {
    expect(guilty([rule], [rule], ["ingress"])).to.equal(undefined);
  });

  it("may be one that does not count, if the packet passed there", () => {
    expect(guilty([rule], [rule, silent], ["forward"])).to.deep.equal({ rule: silent, sure: true });
    expect(guilty([rule], [rule, silent], ["input"])).to.equal(undefined);
  });

  it("may be one that dropped before anybody looked", () => {
    expect(hasDropped([silent, rule], ["ingress"])).to.equal(rule);
    expect(hasDropped([rule], ["forward"])).to.equal(undefined);
    expect(hasDropped([{ ...rule, packets: 0 }], ["ingress"])).to.equal(undefined);
  });
});
