import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { House } from "./house.ts";

describe("a scenario on real guests", function () {
  this.timeout(600_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());

  it("changes cables and guests under flows, and measures what they lost", async () => {
    const file = house.topology(
      "scenario",
      `guests: { a: , b: , c: }
switches: { lan: { subnet: 10.0.0.0/24 } }
links:
  - [a, lan]
  - { ends: [b, lan], name: core, delay: 1ms }
  - [c, lan]
events:
  - { at: 0s, ping: { from: a, to: b, interval: 20ms, for: 6s, loss: "<= 60%", dark: "<= 10ms" } }
  - { at: 0.5s, tcp: { from: a, to: c, for: 1s, throughput: ">= 10kbit" } }
  - { at: 0.5s, udp: { from: c, to: a, for: 1s, rate: 500kbit } }
  - { at: 1s, link: core, up: false, within: 500ms }
  - { at: 2.5s, link: core, up: true, set: { loss: 0% }, within: 3s, points: 4 }
  - { at: 3s, on: a, run: "echo hello; exit 3" }
  - { at: 4s, restart: c }
  - { at: 4s, expect: { reach: ["a -> b"], sees: [{ link: core, filter: icmp }] }, within: 5s }
  - { at: 5s, expect: { isolate: ["a -> b"] }, within: 100ms }
`,
    );
    const html = join(house.folder, "files", "report.html");
    const report = await house.json(1, "test", file, "--html", html);
    const { timeline } = report;
    const [ping, tcp, udp, down, up, run, restart, held, failed] = timeline.events;
    expect(timeline.flows).to.have.lengthOf(3);
    const flow = timeline.flows[0];
    expect(flow.sent).to.equal(300);
    expect(flow.lost).to.be.greaterThan(20);
    expect(flow.lost).to.equal(flow.sent - flow.received);
    expect(flow.darkMs).to.be.within(1000, 5000);
    expect(ping).to.include({ ok: false, points: 0, of: 1 });
    expect(ping.why).to.match(/^it was dark for/);
    expect(tcp, tcp.why).to.include({ ok: true, points: 1 });
    expect(udp, udp.why).to.include({ ok: true, of: 0 });
    expect(timeline.flows[2].sent).to.be.greaterThan(20);
    expect(down.why).to.match(/ping a -> b was flowing again after/);
    expect(up, up.found).to.include({ ok: true, points: 4 });
    expect(run).to.include({ ok: false, exit: 3, found: "hello\n" });
    expect(restart.ok).to.equal(true);
    expect(held, held.found).to.include({ ok: true });
    expect(failed.why).to.match(/must not be reached/);
    expect(report.score).to.deep.equal({ points: 6, of: 9 });
    expect(readFileSync(html, "utf8")).to.include('<svg class="timeline"');
    await house.expectNothingLeft();
  });

  it("lets iperf3 make flows, where both images have it", async function () {
    const built = await house.run("image", "build", "router");
    if (built.status !== 0) {
      console.log(`    SKIPPED: the image router can't be built here: ${built.stderr.trim()}`);
      return this.skip();
    }
    const file = house.topology(
      "iperf3",
      `guests: { a: { image: router }, b: { image: router }, c: { image: router, run: ["rm /usr/bin/iperf3"] } }
switches: { lan: { subnet: 10.0.0.0/24, subnet6: "2001:db8::/64" } }
links: [[a, lan], [b, lan], [c, lan]]
expect: { reach: [] }
events:
  - { at: 0s, iperf3: { from: a, to: b, for: 2s, rate: 1Mbit, throughput: ">= 100kbit" } }
  - { at: 0s, iperf3: { from: b, to: a, for: 2s, udp: true, rate: 500kbit, loss: "<= 90%" } }
  - { at: 0s, iperf3: { from: a, to: b, for: 1s, throughput: ">= 90Gbit" } }
  - { at: 0s, iperf3: { from: a, to: c } }
`,
    );
    const { timeline } = await house.json(1, "test", file);
    const [tcp, udp, slow, without] = timeline.events;
    expect(tcp, tcp.found).to.include({ ok: true, points: 1, name: "iperf3 a -> b" });
    expect(udp, udp.found).to.include({ ok: true, points: 1, name: "iperf3 b -> a" });
    expect(slow.why).to.match(/^.* arrived, and throughput must be >= 90Gbit/);
    expect(without.ok).to.equal(false);
    expect(without.why).to.match(/^c has no iperf3: give it `image: router`/);
    expect(timeline.flows).to.have.lengthOf(3);
    expect(timeline.flows[0]).to.include({ protocol: "tcp", name: "iperf3 a -> b" });
    expect(timeline.flows[0].bitsPerSec).to.be.greaterThan(100_000);
    expect(timeline.flows[0].received).to.be.greaterThan(10);
    expect(timeline.flows[1]).to.include({ protocol: "udp" });
    expect(timeline.flows[1].sent).to.be.greaterThan(50);
  });
});
