import { expect } from "chai";
import type { RunningGuest } from "../../kernel/guest/spec.ts";
import { RouteWatch } from "../../lab/supervisor/route-watch.ts";

const NEVER = new AbortController().signal;

/** A guest whose routes are what `at` says of a time. */
function watch(at: (now: number) => { four: string; six?: string }) {
  let time = 0;
  const clock = {
    now: () => time,
    sleep: async (ms: number) => {
      time += ms;
    },
  };
  const guest = {
    readFile: async (path: string) => {
      const { four, six = "" } = at(time);
      return Buffer.from(path.endsWith("ipv6_route") ? six : four);
    },
  } as unknown as RunningGuest;
  return { watch: new RouteWatch(() => [guest], clock), now: () => time };
}

describe("the watch of routes", () => {
  it("ends a sleep when a route changes, and sleeps on where none does", async () => {
    const { watch: routes, now } = watch((t) => ({ four: t < 1000 ? "a" : "b" }));
    await routes.quiet(0, NEVER);
    await routes.clock.sleep(500, NEVER);
    expect(now()).to.equal(500);
    await routes.clock.sleep(5000, NEVER);
    expect(now()).to.be.within(1000, 1100);
    await routes.clock.sleep(500, NEVER);
    expect(now()).to.be.within(1500, 1600);
  });

  it("is quiet when nothing has changed for two seconds, or the time is up", async () => {
    const changing = watch((t) => ({ four: String(Math.min(9, Math.floor(t / 1000))) }));
    await changing.watch.quiet(60_000, NEVER);
    expect(changing.now()).to.be.within(11_000, 11_200);
    const never = watch((t) => ({ four: String(t) }));
    await never.watch.quiet(3000, NEVER);
    expect(never.now()).to.equal(3000);
  });

  it("does not take the counters of IPv6 routes for changes", async () => {
    const six = (uses: number, dev: string) =>
      `${"0".repeat(32)} 40 ${"0".repeat(32)} 00 ${"0".repeat(32)} 00000100 00000001 0000000${uses} 00000001 ${dev}`;
    const counted = watch((t) => ({ four: "", six: six(Math.floor(t / 500) % 9, "eth0") }));
    await counted.watch.quiet(10_000, NEVER);
    expect(counted.now()).to.be.within(2000, 2200);
    const moved = watch((t) => ({ four: "", six: six(0, t < 1000 ? "eth0" : "eth1") }));
    await moved.watch.quiet(10_000, NEVER);
    expect(moved.now()).to.be.within(3000, 3200);
  });
});
