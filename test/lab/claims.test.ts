import { expect } from "chai";
import { type ClaimProbes, judgeClaims, rateText } from "../../lab/judge/claims.ts";
import { parseFpingSeries } from "../../lab/judge/fping.ts";
import { parseListening, wrongListening } from "../../lab/judge/listening.ts";
import { parseRoutes, wrongRoutes } from "../../lab/judge/routes.ts";
import type { Bound, Claim, ClaimPlan } from "../../lab/plan/expect-plan.ts";

const ROUTES = `default via 10.0.1.1 dev eth0 proto static
10.0.2.0/24 via 10.0.12.2 dev eth1 proto ospf metric 20
10.0.9.9 via 10.0.12.2 dev eth1
10.0.1.0/24 dev eth0 proto kernel scope link src 10.0.1.10
10.9.0.0/16 proto bgp metric 20 \\	nexthop via 10.0.12.2 dev eth1 weight 1 \\	nexthop via 10.0.13.3 dev eth2 weight 1
10.8.0.0/16 via inet6 fe80::1 dev eth1
blackhole 10.7.0.0/16
2001:db8:2::/64 via 2001:db8:12::2 dev eth1 metric 1024 pref medium
`;

describe("routes of a guest", () => {
  const routes = parseRoutes(ROUTES);

  it("are read from what ip prints", () => {
    expect(routes.map(({ to, via }) => [to, ...via])).to.deep.equal([
      ["default", "10.0.1.1"],
      ["10.0.2.0/24", "10.0.12.2"],
      ["10.0.9.9/32", "10.0.12.2"],
      ["10.0.1.0/24"],
      ["10.9.0.0/16", "10.0.12.2", "10.0.13.3"],
      ["10.8.0.0/16", "fe80::1"],
      ["10.7.0.0/16"],
      ["2001:db8:2::/64", "2001:db8:12::2"],
    ]);
  });

  it("hold what is claimed, one of several gateways too", () => {
    const wanted = [
      { to: "10.0.2.0/24", via: "10.0.12.2" },
      { to: "10.9.0.0/16", via: "10.0.13.3" },
      { to: "default", via: "10.0.1.1" },
    ];
    expect(wrongRoutes("r1", wanted, false, routes)).to.equal(undefined);
  });

  it("are wrong with what there is instead, or with what is missing", () => {
    expect(wrongRoutes("r1", [{ to: "10.0.2.0/24", via: "10.0.13.3" }], false, routes)).to.equal(
      "r1 has `10.0.2.0/24 via 10.0.12.2 dev eth1 proto ospf metric 20` instead of 10.0.2.0/24 via 10.0.13.3",
    );
    expect(wrongRoutes("r1", [{ to: "10.6.0.0/16", via: "10.0.13.3" }], false, routes)).to.equal(
      "r1 has no route to 10.6.0.0/16",
    );
    expect(wrongRoutes("r1", [{ to: "default", via: "2001:db8::1" }], false, routes)).to.equal(
      "r1 has no route to default",
    );
  });

  it("are exact where no other leads through a gateway", () => {
    const few = parseRoutes("10.0.2.0/24 via 10.0.12.2 dev eth1\n10.0.1.0/24 dev eth0\n");
    const wanted = [{ to: "10.0.2.0/24", via: "10.0.12.2" }];
    expect(wrongRoutes("r1", wanted, true, few)).to.equal(undefined);
    expect(wrongRoutes("r1", [], true, few)).to.equal(
      "r1 also has `10.0.2.0/24 via 10.0.12.2 dev eth1`",
    );
    const two = parseRoutes("10.0.2.0/24 nexthop via 10.0.12.2 nexthop via 10.0.13.3\n");
    expect(wrongRoutes("r1", wanted, true, two)).to.match(/more gateways than one/);
  });
});

describe("ports of a guest", () => {
  const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 501 1
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 502 1
   2: 0A01010A:0050 0B01010A:C350 01 00000000:00000000 00:00000000 00000000     0        0 503 1
`;
  const TCP6 =
    "   0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 0A 0\n";
  const UDP = "  12: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000\n";
  const found = [
    ...parseListening("tcp", TCP),
    ...parseListening("tcp", TCP6),
    ...parseListening("udp", UDP),
  ];

  it("are read from /proc/net", () => {
    expect(found).to.deep.equal([
      { protocol: "tcp", port: 80, loopback: false },
      { protocol: "tcp", port: 8080, loopback: true },
      { protocol: "tcp", port: 53, loopback: true },
      { protocol: "udp", port: 53, loopback: false },
    ]);
  });

  it("are told apart by protocol and by who can reach them", () => {
    const wrong = (port: number, protocol: "tcp" | "udp") =>
      wrongListening("web", [{ port, protocol }], found);
    expect(wrong(80, "tcp")).to.equal(undefined);
    expect(wrong(53, "udp")).to.equal(undefined);
    expect(wrong(8080, "tcp")).to.equal(
      "web listens on tcp 8080 for itself only (on its loopback address); it listens on tcp 80, udp 53",
    );
    expect(wrong(80, "udp")).to.match(/^nothing listens on udp 80 of web/);
  });
});

describe("a series of round trips", () => {
  it("is read from fping", () => {
    expect(parseFpingSeries("10.0.0.2", "10.0.0.2 : 0.41 - 0.62\n")).to.deep.equal([
      0.41,
      null,
      0.62,
    ]);
    expect(parseFpingSeries("2001:db8::2", "2001:db8::2 : 1.5 -\n")).to.deep.equal([1.5, null]);
  });
});

describe("claims", () => {
  const bound = (relation: Bound["relation"], value: number): Bound => ({
    relation,
    value,
    text: `${relation} ${value}`,
  });
  const claim = <C extends Claim>(values: C, points = 1): ClaimPlan =>
    ({ ...values, name: values.kind, on: "a", points }) as ClaimPlan;

  async function judge(claims: ClaimPlan[], probes: (now: () => number) => Partial<ClaimProbes>) {
    const unused = async () => {
      throw new Error("not asked for");
    };
    let time = 0;
    const order: string[] = [];
    const results = await judgeClaims({
      claims,
      settleMs: 5000,
      probes: {
        routes: unused,
        listening: unused,
        passage: unused,
        seen: unused,
        measure: unused,
        ...probes(() => time),
      },
      clock: {
        now: () => time,
        sleep: async (ms) => {
          time += ms;
        },
      },
      signal: new AbortController().signal,
      onClaim: ({ kind }) => order.push(kind),
    });
    return { results, order, time };
  }

  const path = (via: string[]) =>
    claim({ kind: "path", from: "a", to: "b", address: "10.0.0.2", via }, 3);

  it("are looked at again until they hold, and not longer", async () => {
    const { results, time } = await judge([path(["r1"])], (now) => ({
      passage: async () => ({
        senders: now() < 1000 ? ["a", "r2"] : ["a", "r1"],
        arrived: true,
        answered: true,
      }),
    }));
    expect(results[0]).to.include({
      ok: true,
      points: 3,
      of: 3,
      why: null,
      found: "it went a -> r1 -> b",
    });
    expect(time).to.be.within(1000, 1600);
  });

  it("say what there was instead when settle is over", async () => {
    const { results, time } = await judge([path([]), path(["r1"])], () => ({
      passage: async () => ({ senders: ["a", "r2"], arrived: false, answered: false }),
    }));
    for (const { ok, points, of, why } of results) {
      expect({ ok, points, of }).to.deep.equal({ ok: false, points: 0, of: 3 });
      expect(why).to.equal("the probe went a -> r2 and did not arrive at b");
    }
    expect(time).to.be.within(5000, 5600);
  });

  it("fail with the reason where nothing can be found out", async () => {
    const listen = claim({ kind: "listen", guest: "b", ports: [] });
    const { results } = await judge([listen], () => ({
      listening: async () => {
        throw new Error("b is stopped");
      },
    }));
    expect(results[0]).to.include({ ok: false, why: "b is stopped" });
  });

  it("measure one after another, and a failing measurement once more", async () => {
    const perf = claim({
      kind: "perf",
      from: "a",
      to: "b",
      address: "10.0.0.2",
      bounds: { tcp: bound(">=", 8e6), rtt: bound("<=", 5e6) },
    });
    let measured = 0;
    let running = 0;
    const { results } = await judge([perf, { ...perf }], () => ({
      measure: async () => {
        expect(++running).to.equal(1);
        await Promise.resolve();
        running--;
        measured++;
        return { tcpBitsPerSec: measured < 3 ? 2e6 : 9.4e6, rttNs: 1e6 };
      },
    }));
    expect(results.map(({ ok }) => ok)).to.deep.equal([false, true]);
    expect(measured).to.equal(3);
    expect(results[0]?.why).to.equal("measured: tcp 2.00 Mbit, rtt 1.0 ms");
  });

  it("count frames that must come as soon as they did, others at the end", async () => {
    const sees = (count: Bound, watch: string) =>
      claim({ kind: "sees", link: "core", filter: "", count, watch });
    const frames: Record<string, number> = { some: 4, none: 1 };
    const { results, order } = await judge(
      [sees(bound("==", 0), "none"), path(["r1"]), sees(bound(">=", 3), "some")],
      () => ({
        seen: async (watch) => frames[watch] ?? 0,
        passage: async () => ({ senders: ["a", "r1"], arrived: true, answered: true }),
      }),
    );
    expect(results.map(({ ok }) => ok)).to.deep.equal([false, true, true]);
    expect(results[0]?.why).to.equal("1 frame came by");
    expect(order).to.deep.equal(["path", "sees", "sees"]);
  });

  it("write rates as the language does", () => {
    expect([950, 9.41e6, 123.4e6, 1e9].map(rateText)).to.deep.equal([
      "950 bit",
      "9.41 Mbit",
      "123.4 Mbit",
      "1.00 Gbit",
    ]);
  });
});
