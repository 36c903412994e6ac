import { expect } from "chai";
import type { Explanation, ReachabilityResult } from "../../lab/api.ts";
import { explainFailures, MOST_EXPLAINED, mostDifferent } from "../../lab/explain/failures.ts";

const result = (
  from: string,
  to: string,
  change: Partial<ReachabilityResult> = {},
): ReachabilityResult => ({
  from,
  to,
  address: `10.0.0.${to.slice(1)}`,
  reachable: false,
  rttMs: null,
  expected: "reach",
  ok: false,
  why: "no answer",
  ...change,
});

const explanation = (change: Partial<Explanation>): Explanation => ({
  lab: "x",
  from: "",
  to: "",
  address: "",
  probe: { kind: "icmp" },
  reachable: false,
  rttMs: null,
  cause: "interface-down",
  at: {},
  sentence: "it is down.",
  hint: null,
  there: [],
  back: [],
  notes: [],
  ...change,
});

async function explain(
  results: readonly ReachabilityResult[],
  tell: (from: string, to: string) => Partial<Explanation>,
  obstacle: (guest: string) => string | undefined = () => undefined,
) {
  const asked: string[] = [];
  const explainer = {
    explainAddress: async ({ from, to }: { from: string; to: string | null }) => {
      asked.push(`${from} ${to}`);
      return explanation(tell(from, to as string));
    },
  };
  return { whys: await explainFailures(results, { explainer, obstacle, now: () => 0 }), asked };
}

const guests = Array.from({ length: 8 }, (_, i) => `h${i + 1}`);
const everyPair = guests.flatMap((from) =>
  guests.filter((to) => to !== from).map((to) => result(from, to)),
);

describe("the reasons of failed pairs", () => {
  it("chooses pairs of different guests", () => {
    const chosen = mostDifferent(everyPair, 8);
    expect(new Set(chosen.map(({ from }) => from)).size).to.equal(8);
    expect(new Set(chosen.map(({ to }) => to)).size).to.equal(8);
  });

  it("explains a bounded number, and gives the others the sentence where all have one cause", async () => {
    const { whys, asked } = await explain(everyPair, () => ({ at: { guest: "sw" } }));
    expect(asked).to.have.lengthOf(MOST_EXPLAINED);
    for (const { why } of whys) expect(why).to.match(/^(as h\d to h\d: )?it is down\.$/);
  });

  it("blames a guest only for pairs that it is an end of, where causes differ", async () => {
    const { whys } = await explain(everyPair, (_, to) => ({
      at: { guest: to },
      sentence: `${to} is down.`,
    }));
    for (const { to, why } of whys) expect(why).to.include(`${to} is down.`);
    const mixed = await explain(everyPair, (from, to) => ({ at: { link: `${from}-${to}` } }));
    expect(mixed.whys.filter(({ why }) => why === "no answer")).to.have.lengthOf(
      everyPair.length - MOST_EXPLAINED,
    );
  });

  it("leaves pairs alone that are as expected, or whose guest does not run", async () => {
    const fine = result("h1", "h2", { ok: true, reachable: true, why: null });
    const { whys, asked } = await explain(
      [fine, result("h2", "h3")],
      () => ({}),
      (guest) => (guest === "h3" ? "h3 is paused" : undefined),
    );
    expect(asked).to.deep.equal([]);
    expect(whys.map(({ why }) => why)).to.deep.equal([null, "no answer"]);
  });

  it("tells over which routers a pair is reached that must not be", async () => {
    const leak = result("h1", "h2", { expected: "isolate", reachable: true, why: "h2 answered" });
    const hop = (guest: string) =>
      ({ kind: "guest", guest, in: null, out: null, ns: null, ttl: null, note: null }) as const;
    const { whys } = await explain([leak], () => ({
      cause: null,
      there: [hop("h1"), hop("fw"), hop("h2")],
    }));
    expect(whys[0]?.why).to.equal("h2 answered; the way leads over fw");
  });
});
