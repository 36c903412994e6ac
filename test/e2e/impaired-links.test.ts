/** Cables that misbehave as they were told to, measured by guests' own programs. */

import { expect } from "chai";
import { House } from "./house.ts";

const CABLE = `guests: { a: , b: }
links:
  - { ends: [a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24], name: cable }
  - { ends: [a:eth1=10.0.1.1/24, b:eth1=10.0.1.2/24], name: other }
expect: { reach: ["a -> b"] }
`;

/** What a busy machine may add to the quickest of fifty round trips. */
const BUSY_MS = 10;

describe("impaired links", function () {
  this.timeout(600_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());
  afterEach(async () => {
    await house.run("down", "--all");
  });

  const sh = (guest: string, command: string) => house.sh(guest, command);
  const roundTrips = async (count: number, interval: string, address: string) => {
    const text = await sh("a", `ping -n -c ${count} -i ${interval} ${address}; true`);
    return [...text.matchAll(/icmp_seq=(\d+) .*time=([\d.]+) ms/g)].map(([, number, ms]) => ({
      number: Number(number),
      ms: Number(ms),
    }));
  };
  const cable = async () => {
    const { counters } = await house.json(0, "status");
    return counters.links.find(({ link }: { link: string }) => link === "cable");
  };

  it("delay each way, beside a cable that doesn't", async () => {
    await house.json(0, "up", house.topology("delay", CABLE));
    await house.json(0, "link", "set", "cable", "delay=20ms");
    const delayed = (await roundTrips(50, "0.05", "10.0.0.2")).map(({ ms }) => ms);
    const plain = (await roundTrips(50, "0.05", "10.0.1.2")).map(({ ms }) => ms);
    expect(delayed).to.have.lengthOf(50);
    expect(Math.min(...delayed)).to.be.at.least(40);
    expect(Math.min(...delayed) - Math.min(...plain)).to.be.below(40 + BUSY_MS);
  });

  it("have a rate: TCP gets that of the wire less its headers", async () => {
    await house.json(0, "up", house.topology("rate", CABLE));
    await house.json(0, "link", "set", "cable", "rate=10Mbit");
    const uptime = 'cut -d" " -f1 /proc/uptime';
    const measure = `{ head -c 400000 > /dev/null; ${uptime}; wc -c; ${uptime}; }`;
    /** By the receiver's clock from the 400 000th byte on, when slow start is over, to the last. */
    const rateOnTheWire = async () => {
      const told = await house.transfer(
        "head -c 6000000 /dev/zero",
        ["a", "b"],
        "10.0.0.2",
        measure,
      );
      const [from, bytes, to] = told.trim().split("\n").map(Number);
      const goodput = ((bytes as number) * 8) / ((to as number) - (from as number));
      // of each frame of 1514 bytes (as `tc` counts), 1448 are data: Ethernet 14, IPv4 20, TCP 32
      return (goodput * 1514) / 1448;
    };
    // A busy machine may keep TCP from filling the cable; nothing may let it send more.
    const rates: number[] = [];
    while (rates.length < 5 && Math.max(0, ...rates) < 9.7e6) rates.push(await rateOnTheWire());
    expect(Math.max(...rates), String(rates)).to.be.within(9.7e6, 10.3e6);
  });

  it("lose what they were told to, and the same frames in each run", async () => {
    const runs: number[][] = [];
    for (let run = 0; run < 2; run++) {
      const file = house.topology("loss", `seed: 7\n${CABLE}`);
      await house.json(0, "up", file);
      // nothing but pings on the cable: neighbours are known, and IPv6 is silent
      for (const [guest, other, address] of [
        ["a", "b", "10.0.0.2"],
        ["b", "a", "10.0.0.1"],
      ] as const) {
        const mac = (await sh(other, "cat /sys/class/net/eth0/address")).trim();
        await sh(guest, "sysctl -q -w net.ipv6.conf.all.disable_ipv6=1");
        await sh(guest, `ip neigh replace ${address} lladdr ${mac} dev eth0 nud permanent`);
      }
      const before = await cable();
      await house.json(0, "link", "set", "cable", "loss=10%");
      runs.push((await roundTrips(5000, "0.001", "10.0.0.2")).map(({ number }) => number));
      const { directions } = await cable();
      const sent = directions.map(
        ({ frames, drops }: { frames: number; drops: { loss: number } }, index: number) =>
          frames + drops.loss - before.directions[index].frames,
      );
      const lost = directions.map(({ drops }: { drops: { loss: number } }) => drops.loss);
      expect(sent).to.deep.equal([5000, 5000 - lost[0]]);
      expect(runs[run]).to.have.lengthOf(5000 - lost[0] - lost[1]);
      // 4.4 standard deviations: one run in 90 000 is outside
      for (const index of [0, 1]) {
        expect(lost[index] / sent[index]).to.be.closeTo(0.1, 4.4 * Math.sqrt(0.09 / sent[index]));
      }
      await house.json(0, "down");
    }
    expect(runs[1]).to.deep.equal(runs[0]);
  });
});
