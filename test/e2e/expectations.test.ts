import { expect } from "chai";
import { House } from "./house.ts";

const THREE_ROUTERS = `routing: static
guests:
  web: { run: ["httpd -p 80 -h /tmp", "httpd -p 127.0.0.1:81 -h /tmp"] }
  h2: {}
  r1..3: { forward: true }
links:
  - [r1:eth0=10.1.1.1/24, web:eth0=10.1.1.10/24]
  - [r3:eth0=10.1.3.1/24, h2:eth0=10.1.3.10/24]
  - { ends: [r1, r2], name: r1-r2, subnet: 10.0.12.0/30 }
  - { ends: [r2, r3], name: r2-r3, subnet: 10.0.23.0/30, rate: 10Mbit, delay: 5ms }
`;

describe("expectations on real guests", function () {
  this.timeout(120_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());

  it("hold of routes, paths, throughput, round trips, ports and frames", async () => {
    const file = house.topology(
      "right",
      `${THREE_ROUTERS}expect:
  reach: ["web <-> h2"]
  routes:
    r1: ["10.1.3.0/24 via 10.0.12.2"]
    r2: { exactly: ["10.1.1.0/24 via 10.0.12.1", "10.1.3.0/24 via 10.0.23.2"], points: 2 }
  path:
    - { from: web, to: h2, via: [r1, r2, r3] }
    - { from: r1, to: r2, via: [] }
  perf:
    - { from: web, to: h2, tcp: ">= 1Mbit", udp: ">= 1Mbit", rtt: ">= 10ms", loss: "<= 50%" }
    - { from: h2, to: web, tcp: "<= 10.5Mbit" }
  listen:
    web: [80]
  sees:
    - { link: r1-r2, filter: "icmp and host 10.1.3.10" }
    - { link: r1-r2, filter: "tcp port 23", count: 0 }
`,
    );
    const report = await house.json(0, "test", file);
    expect(report.expectations.map(({ why }: { why: string }) => why)).to.deep.equal(
      report.expectations.map(() => null),
    );
    expect(report.expectations).to.have.lengthOf(9);
    expect(report.score).to.deep.equal({ points: 10, of: 10 });
    await house.expectNothingLeft();
  });

  it("say what there was instead", async () => {
    const file = house.topology(
      "wrong",
      `${THREE_ROUTERS}expect:
  settle: 200ms
  routes:
    r1: ["10.1.3.0/24 via 10.0.12.9"]
    r2: { exactly: ["10.1.1.0/24 via 10.0.12.1"] }
  path:
    - { from: web, to: h2, via: [r1, r3] }
  perf:
    - { from: web, to: h2, tcp: ">= 100Mbit", rtt: "<= 1ms" }
  listen:
    web: [81, 53/udp]
  sees:
    - { link: r1-r2, filter: "tcp port 23" }
    - { link: r1-r2, count: 0 }
`,
    );
    const report = await house.json(1, "test", file);
    const whys = report.expectations.map(({ why }: { why: string }) => why);
    expect(report.score).to.deep.equal({ points: 0, of: 7 });
    expect(whys[0]).to.match(/^r1 has `10.1.3.0\/24 via 10.0.12.2 .*` instead of/);
    expect(whys[1]).to.match(/^r2 also has `10.1.3.0\/24 via 10.0.23.2/);
    expect(whys[2]).to.match(/web listens on tcp 81 for itself only.*nothing listens on udp 53/);
    expect(whys[3]).to.equal("it went web -> r1 -> r2 -> r3 -> h2");
    expect(whys[4]).to.match(/^measured: tcp [\d.]+ Mbit, rtt \d+ ms$/);
    expect(whys[5]).to.equal("no frame came by");
    expect(whys[6]).to.match(/^\d+ frames came by$/);
    await house.expectNothingLeft();
  });
});
