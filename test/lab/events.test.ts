import { expect } from "chai";
import type { FlowResult } from "../../lab/api.ts";
import { convergence, flowResult, flowText, wrongFlow } from "../../lab/judge/flows.ts";
import type { EventPlan, FlowPlan } from "../../lab/plan/event-plan.ts";
import { parseIperf3 } from "../../lab/supervisor/iperf3.ts";
import { playScenario, type ScenarioOptions } from "../../lab/supervisor/scenario.ts";
import type { WatchCounters, WatchedPlace } from "../../net/control/messages.ts";

const PING: FlowPlan = {
  name: "ping a -> b",
  protocol: "ping",
  iperf3: false,
  from: "a",
  to: "b",
  address: "10.0.0.2",
  sources: ["10.0.0.1"],
  port: 5201,
  forMs: 10_000,
  intervalMs: 10,
  rateBitsPerSec: 0,
  bounds: {},
};

const place = (
  values: Partial<WatchedPlace> & Pick<WatchedPlace, "end" | "way">,
): WatchedPlace => ({
  link: "core",
  frames: 0,
  bytes: 0,
  order: 1,
  firstMs: null,
  lastMs: null,
  gaps: [],
  slices: [],
  ...values,
});

const seen = (...places: WatchedPlace[]): WatchCounters => ({
  watch: "w",
  startedMs: 1000,
  nowMs: 12_000,
  places,
});

describe("a flow", () => {
  // the scenario began at 1000
  const measure = (packets: WatchCounters, answers: WatchCounters | undefined, flow = PING) =>
    flowResult(flow, {
      startedMs: 0,
      endedMs: 10_000,
      originMs: 1000,
      packets,
      answers,
      bitsPerSec: null,
    });

  it("of pings has lost what was not answered, and was dark while no answer came", () => {
    const result = measure(
      seen(place({ end: "a:eth0", way: "out", frames: 1000, firstMs: 1000, lastMs: 10_990 })),
      seen(
        place({
          end: "a:eth0",
          way: "in",
          frames: 880,
          firstMs: 1002,
          lastMs: 10_992,
          gaps: [{ fromMs: 5000, toMs: 6210 }],
          slices: [80, 80],
        }),
        place({ end: "b:eth0", way: "out", frames: 900, firstMs: 1001, lastMs: 10_991 }),
      ),
    );
    expect(result).to.include({ sent: 1000, received: 880, lost: 120, darkMs: 1210 });
    expect(result.dark).to.deep.equal([{ fromMs: 4000, toMs: 5210 }]);
    expect(flowText(result)).to.equal("880 of 1000 arrived, dark for 1.2 s");
    const bound = (value: number) => ({ relation: "<=" as const, value, text: `<= ${value}` });
    expect(wrongFlow({ ...PING, bounds: { loss: bound(0.2) } }, result)).to.equal(undefined);
    expect(wrongFlow({ ...PING, bounds: { loss: bound(0.1), dark: bound(1e9) } }, result)).to.match(
      /^120 of 1000 packets were lost.*; it was dark for 1.2 s/,
    );
  });

  it("was dark all the time where nothing came, and at its end where nothing came any more", () => {
    expect(measure(seen(), seen()).dark).to.deep.equal([{ fromMs: 0, toMs: 10_000 }]);
    const stopped = measure(
      seen(),
      seen(place({ end: "a:eth0", way: "in", frames: 9, firstMs: 1000, lastMs: 4000 })),
    );
    expect(stopped.dark).to.deep.equal([{ fromMs: 3000, toMs: 10_000 }]);
  });

  it("that changes its interface was dark only while both were silent", () => {
    const result = measure(
      seen(),
      seen(
        place({ end: "a:eth0", way: "in", frames: 9, firstMs: 1000, lastMs: 4000 }),
        place({ end: "a:eth1", way: "in", frames: 9, firstMs: 4500, lastMs: 11_000 }),
      ),
    );
    expect(result.dark).to.deep.equal([{ fromMs: 3000, toMs: 3500 }]);
  });
});

describe("iperf3", () => {
  it("tells what arrived, or what went wrong", () => {
    const end = { sum_sent: { bits_per_second: 2e6 }, sum_received: { bits_per_second: 1.5e6 } };
    expect(parseIperf3(JSON.stringify({ end }))).to.equal(1.5e6);
    const refused = { error: "unable to connect to server: Connection refused", end: {} };
    expect(parseIperf3(JSON.stringify(refused))).to.equal(refused.error);
    for (const text of ["", "{", "{}", "[]", "null", '{"end":{"sum_received":{}}}']) {
      expect(parseIperf3(text), text).to.equal(undefined);
    }
  });
});

describe("convergence", () => {
  const flow = (dark: FlowResult["dark"], values: Partial<FlowResult> = {}): FlowResult => ({
    ...{ name: "ping a -> b", protocol: "ping", from: "a", to: "b", startedMs: 0, endedMs: 10_000 },
    ...{ sent: 1, received: 1, lost: 0, bitsPerSec: null, darkMs: 0, sliceMs: 100, slices: [] },
    ...{ dark },
    ...values,
  });

  it("is when the last silence before the next change ended", () => {
    const flows = [
      flow([
        { fromMs: 2000, toMs: 2500 },
        { fromMs: 2700, toMs: 3100 },
      ]),
      flow([]),
    ];
    expect(convergence(flows, 2000, 8000)).to.deep.equal({
      afterMs: 1100,
      text: "ping a -> b was flowing again after 1.1 s; ping a -> b went on",
    });
    // what begins after the next change is that one's
    expect(convergence([flow([{ fromMs: 8500, toMs: 9000 }])], 2000, 8000).afterMs).to.equal(0);
  });

  it("never was where a flow stayed dark, or none was under way", () => {
    expect(convergence([flow([{ fromMs: 2000, toMs: 10_000 }])], 2000, 8000)).to.deep.equal({
      afterMs: null,
      text: "ping a -> b never came back",
    });
    expect(convergence([flow([], { startedMs: 3000 })], 2000, 8000).afterMs).to.equal(null);
  });
});

describe("a scenario", () => {
  const event = (values: Record<string, unknown>): EventPlan =>
    ({ name: String(values.kind), withinMs: undefined, points: 0, ...values }) as EventPlan;

  let time = 5000;

  async function play(events: EventPlan[], changes: Partial<ScenarioOptions> = {}) {
    time = 5000;
    const sleepers: { readonly at: number; readonly wake: () => void }[] = [];
    const done: [number, string][] = [];
    const log = (what: string) => done.push([time - 5000, what]);
    const playing = playScenario({
      events,
      clock: {
        now: () => time,
        sleep: (ms) => new Promise((wake) => sleepers.push({ at: time + ms, wake })),
      },
      signal: new AbortController().signal,
      onEvent: () => {},
      setLink: async ({ link }) => void log(`link ${link}`),
      operate: async ({ operation }) => void log(operation),
      run: async (_, command) => ({ output: command, exit: command === "false" ? 1 : 0 }),
      assess: async () => ({ reachability: [], checks: [], expectations: [] }),
      explain: async (results) => results,
      flow: async () => {
        throw new Error("a is stopped");
      },
      ...changes,
    });
    let over = false;
    void playing.finally(() => {
      over = true;
    });
    while (!over) {
      await new Promise((resolve) => setImmediate(resolve));
      sleepers.sort((a, b) => a.at - b.at);
      const next = sleepers.shift();
      if (next === undefined) continue;
      time = Math.max(time, next.at);
      next.wake();
    }
    return { timeline: await playing, done };
  }

  it("does everything at its time", async () => {
    const { done, timeline } = await play([
      event({ kind: "link", link: "core", change: { up: false }, atMs: 100 }),
      event({ kind: "guests", operation: "stop", guests: ["a"], atMs: 300 }),
      event({ kind: "link", link: "core", change: { up: true }, atMs: 200 }),
    ]);
    expect(done).to.deep.equal([
      [100, "link core"],
      [200, "link core"],
      [300, "stop"],
    ]);
    expect(timeline.lengthMs).to.equal(300);
    expect(timeline.events.every(({ ok }) => ok)).to.equal(true);
  });

  it("judges commands by their status, and goes on where something can't be done", async () => {
    const { timeline } = await play([
      event({ kind: "run", on: "a", command: "false", atMs: 0, points: 2 }),
      event({ kind: "run", on: "a", command: "true", atMs: 0, points: 2 }),
      event({ kind: "flow", flow: PING, atMs: 0 }),
    ]);
    expect(timeline.events.map(({ ok, points, of }) => [ok, points, of])).to.deep.equal([
      [false, 0, 2],
      [true, 2, 2],
      [false, 0, 0],
    ]);
    expect(timeline.events[2]?.why).to.equal("a is stopped");
  });

  it("asks of a change with `within` that the flows come back", async () => {
    const result = {
      ...{
        name: "p",
        protocol: "ping" as const,
        from: "a",
        to: "b",
        sent: 9,
        received: 8,
        lost: 1,
      },
      ...{ startedMs: 0, endedMs: 9000, bitsPerSec: null, darkMs: 600, sliceMs: 100, slices: [] },
      dark: [{ fromMs: 100, toMs: 700 }],
    };
    const { timeline } = await play(
      [
        event({ kind: "flow", flow: PING, atMs: 0 }),
        event({ kind: "link", link: "l", change: {}, atMs: 100, withinMs: 1000, points: 1 }),
        event({ kind: "link", link: "l", change: {}, atMs: 600, withinMs: 50, points: 1 }),
      ],
      { flow: async () => result },
    );
    expect(timeline.events.map(({ ok }) => ok)).to.deep.equal([true, true, false]);
    expect(timeline.events[2]?.why).to.equal("p was flowing again after 100 ms");
  });

  it("says which expectation failed, and why, as it was when it was judged", async () => {
    const { timeline } = await play([event({ kind: "expect", expect: {}, atMs: 0, points: 1 })], {
      assess: async () => ({
        reachability: [
          {
            from: "a",
            to: "b",
            address: "1",
            reachable: false,
            rttMs: null,
            expected: "reach",
            ok: false,
            why: "no answer",
          },
        ],
        checks: [],
        expectations: [],
      }),
      explain: async (results) => {
        time += 700;
        return results.map((one) => ({ ...one, why: "b has no route back" }));
      },
    });
    const why = "a -> b: b has no route back";
    expect(timeline.events[0]).to.include({ ok: false, points: 0, of: 1, why, endedMs: 0 });
    expect(timeline.events[0]?.results?.reachability[0]?.why).to.equal("b has no route back");
    expect(timeline.lengthMs).to.equal(700);
  });
});
