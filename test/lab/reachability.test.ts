import { expect } from "chai";
import { judgeChecks } from "../../lab/judge/checks.ts";
import type { Probe } from "../../lab/judge/fping.ts";
import { judgeReachability, type ReachabilityOptions } from "../../lab/judge/reachability.ts";
import type { CheckPlan, PairPlan } from "../../lab/plan/plan.ts";

const ADDRESS: Record<string, string> = { a: "10.0.0.1", b: "10.0.0.2", c: "10.0.0.3" };
const pair = (from: string, to: string, expected: PairPlan["expected"]): PairPlan => ({
  from,
  to,
  addresses: [ADDRESS[to] as string],
  expected,
});

/** A clock that only moves when somebody sleeps or probes. */
class FakeClock {
  time = 0;
  now = () => this.time;
  sleep = async (ms: number) => {
    this.time += ms;
  };
}

function judge(
  pairs: readonly PairPlan[],
  answers: (from: string, address: string, now: number) => boolean,
  changes: Partial<ReachabilityOptions> = {},
) {
  const clock = new FakeClock();
  const probed: { at: number; from: string; addresses: readonly string[] }[] = [];
  const results = judgeReachability({
    pairs,
    settleMs: 10_000,
    probe: async (from, addresses, timeoutMs) => {
      const at = clock.time;
      probed.push({ at, from, addresses });
      const found = addresses.map((address): [string, Probe] => [
        address,
        { rttMs: answers(from, address, at) ? 0.5 : null, refusal: null },
      ]);
      clock.time += found.every(([, { rttMs }]) => rttMs !== null) ? 1 : timeoutMs;
      return new Map(found);
    },
    obstacle: () => undefined,
    ownerOf: (address) => Object.keys(ADDRESS).find((name) => ADDRESS[name] === address),
    atOnce: 4,
    clock,
    signal: new AbortController().signal,
    onProgress: () => {},
    ...changes,
  });
  return { clock, probed, results };
}

describe("reachability", () => {
  it("is judged with one prober a guest and one round where all answer", async () => {
    const pairs = [pair("a", "b", "reach"), pair("a", "c", "reach"), pair("b", "a", "reach")];
    const { clock, probed, results } = judge(pairs, () => true);
    expect((await results).every(({ ok, rttMs }) => ok && rttMs === 0.5)).to.equal(true);
    expect(probed.map(({ from, addresses }) => [from, ...addresses])).to.deep.equal([
      ["a", "10.0.0.2", "10.0.0.3"],
      ["b", "10.0.0.1"],
    ]);
    expect(clock.time).to.be.lessThan(10);
  });

  it("tries again only what failed, until it holds", async () => {
    const pairs = [pair("a", "b", "reach"), pair("a", "c", "reach")];
    const { probed, results } = judge(
      pairs,
      (_, address, now) => address === ADDRESS.b || now > 2000,
    );
    expect((await results).map(({ ok }) => ok)).to.deep.equal([true, true]);
    expect(probed[0]?.addresses).to.have.lengthOf(2);
    for (const { addresses } of probed.slice(1)) expect(addresses).to.deep.equal([ADDRESS.c]);
    expect(probed.length).to.be.greaterThan(2);
  });

  it("gives up when settle is over, with a reason", async () => {
    const { clock, results } = judge([pair("a", "b", "reach")], () => false, { settleMs: 3000 });
    const [result] = await results;
    expect(result).to.include({ reachable: false, ok: false, rttMs: null });
    expect(result?.why).to.match(/no answer from 10\.0\.0\.2 within \d s/);
    expect(clock.time).to.be.within(3000, 6000);
  });

  it("asks again where the first questions took all the time there was", async () => {
    const slow = (settleMs: number) => {
      const clock = new FakeClock();
      const timeouts: number[] = [];
      const probe = async (_: string, addresses: readonly string[], timeoutMs: number) => {
        timeouts.push(timeoutMs);
        clock.time += 12_000;
        const rttMs = timeouts.length < 2 ? null : 0.5;
        return new Map(addresses.map((address) => [address, { rttMs, refusal: null }]));
      };
      const { results } = judge([pair("a", "b", "reach")], () => true, { settleMs, clock, probe });
      return { timeouts, results };
    };
    const { timeouts, results } = slow(10_000);
    expect((await results)[0]).to.include({ reachable: true, ok: true });
    expect(timeouts).to.have.lengthOf(2);
    expect(timeouts[1]).to.be.greaterThan(timeouts[0] as number);
    // who wants no waiting has none
    expect((await slow(0).results)[0]).to.include({ reachable: false, ok: false });
  });

  it("judges isolation after what must reach, and again until it holds", async () => {
    const pairs = [pair("a", "b", "isolate"), pair("a", "c", "reach")];
    // c is reached from 1 s on; b can be reached until 4 s
    const { probed, results } = judge(pairs, (_, address, now) =>
      address === ADDRESS.c ? now >= 1000 : now < 4000,
    );
    expect((await results).map(({ ok, reachable }) => [ok, reachable])).to.deep.equal([
      [true, false],
      [true, true],
    ]);
    const isolation = probed.filter(({ addresses }) => addresses.includes(ADDRESS.b as string));
    expect(isolation[0]?.at).to.be.at.least(1000);
    expect(isolation.at(-1)?.at).to.be.at.least(4000);
  });

  it("says which isolation does not hold, and does not judge what nobody asked for", async () => {
    const pairs = [pair("a", "b", "isolate"), pair("b", "a", null)];
    const { results } = judge(pairs, (from) => from === "a", { settleMs: 1000 });
    const [isolated, measured] = await results;
    expect(isolated).to.include({ reachable: true, ok: false, expected: "isolate" });
    expect(isolated?.why).to.include("must not be reached");
    expect(measured).to.include({ reachable: false, ok: true, why: null });
  });

  it("does not wait for a guest that is gone, and takes its silence for nothing", async () => {
    const pairs = [pair("a", "b", "reach"), pair("a", "b", "isolate"), pair("b", "a", "reach")];
    const { clock, probed, results } = judge(pairs, () => true, {
      obstacle: (guest) => (guest === "b" ? "b failed" : undefined),
    });
    for (const { ok, why } of await results) {
      expect({ ok, why }).to.deep.equal({ ok: false, why: "b failed" });
    }
    expect(probed).to.deep.equal([]);
    expect(clock.time).to.equal(0);
  });

  it("names who refused", async () => {
    const { results } = judge([pair("a", "b", "reach")], () => false, {
      settleMs: 0,
      probe: async (_, addresses) =>
        new Map(
          addresses.map((address) => [
            address,
            { rttMs: null, refusal: { text: "ICMP Host Unreachable", from: ADDRESS.c as string } },
          ]),
        ),
    });
    expect((await results)[0]?.why).to.equal("c (10.0.0.3) refused it: Host Unreachable");
  });

  it("counts an answer from another address neither as reached nor as isolated", async () => {
    const pairs = [pair("a", "b", "reach"), pair("a", "c", "isolate")];
    const { results } = judge(pairs, () => false, {
      settleMs: 0,
      probe: async (_, addresses) =>
        new Map(
          addresses.map((address) => [
            address,
            { rttMs: null, refusal: null, otherAddress: "10.9.9.9" },
          ]),
        ),
    });
    const [reach, isolated] = await results;
    expect(reach).to.include({ reachable: false, ok: false });
    expect(reach?.why).to.match(/^an answer came from 10.9.9.9 instead of 10.0.0.2, so a does not/);
    expect(isolated).to.include({ reachable: false, ok: false });
    expect(isolated?.why).to.match(/10.9.9.9 .*a's packets get through, and must not$/);
  });

  it("ends with the signal's reason", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    controller.abort(reason);
    const { results } = judge([pair("a", "b", "reach")], () => true, {
      signal: controller.signal,
    });
    expect(await results.catch((error) => error)).to.equal(reason);
  });
});

describe("checks", () => {
  const check = (changes: Partial<CheckPlan>): CheckPlan => ({
    name: "n",
    on: "a",
    run: "true",
    output: undefined,
    exit: 0,
    withinMs: 1000,
    points: 1,
    ...changes,
  });

  async function run(
    checks: CheckPlan[],
    outcome: (command: string, now: number) => [string, number | null],
  ) {
    const clock = new FakeClock();
    const order: string[] = [];
    const results = await judgeChecks({
      checks,
      run: async (_, command) => {
        order.push(command);
        const [output, exit] = outcome(command, clock.time);
        return { output, exit };
      },
      clock,
      signal: new AbortController().signal,
      onCheck: () => {},
    });
    return { results, order, clock };
  }

  it("hold by output and exit status, and give their points", async () => {
    const { results, order } = await run(
      [
        check({ run: "one", output: { contains: "ell" }, points: 2 }),
        check({ run: "two", output: { regexp: "^b.e$" }, exit: 3 }),
        check({ run: "three", withinMs: 0, output: { contains: "other" } }),
      ],
      (command) => (command === "two" ? ["a\nbye\n", 3] : ["hello", 0]),
    );
    expect(results.map(({ ok, points, of }) => [ok, points, of])).to.deep.equal([
      [true, 2, 2],
      [true, 1, 1],
      [false, 0, 1],
    ]);
    expect(order).to.deep.equal(["one", "two", "three"]);
  });

  it("are run again until they hold or their time is up", async () => {
    const { results, order, clock } = await run(
      [check({ run: "late" }), check({ run: "never", withinMs: 700 }), check({ run: "at once" })],
      (command, now) => ["", command === "at once" || (command === "late" && now > 300) ? 0 : 1],
    );
    expect(results.map(({ ok }) => ok)).to.deep.equal([true, false, true]);
    expect(order.filter((command) => command === "at once")).to.have.lengthOf(1);
    expect(clock.time).to.be.within(700, 1300);
  });
});
