/** Switches, cables and counters with real kernels: VLANs, long frames, loops, carriers. */

import { get } from "node:http";
import { join } from "node:path";
import { expect } from "chai";
import { eventually, House, outcomeOf } from "./house.ts";

const TRUNK = `guests:
  a: {}
  b: {}
  c: {}
  stick:
    run:
      - ip link add link eth0 name eth0.10 type vlan id 10
      - ip address add 10.0.10.9/24 dev eth0.10
      - ip link set eth0.10 up
switches: [s, t]
links:
  - { ends: [a:eth0=10.0.10.1/24, s], vlan: 10 }
  - { ends: [b:eth0=10.0.10.2/24, t], vlan: 10 }
  - { ends: [c:eth0=10.0.10.3/24, t], vlan: 20 }
  - { ends: [s, t], name: trunk, vlan: 1, trunk: [10, 20] }
  - { ends: [stick, t], name: stick, trunk: [10] }
expect:
  settle: 300ms
  reach: ["a <-> b"]
  isolate: ["a <-> c", "b <-> c"]
`;

const LOOP = `guests:
  a: {}
  b: {}
allow_loops: true
switches: [s, t]
links:
  - [a:eth0=10.0.0.1/24, s]
  - [b:eth0=10.0.0.2/24, t]
  - [s, t]
  - [s, t]
  - [s, t]
expect: { reach: [] }
`;

const LONG = `guests:
  a: {}
  b: {}
  c: {}
switches: [s]
links:
  - { ends: [a:eth0=10.0.0.1/24, s], mtu: 9000 }
  - { ends: [b:eth0=10.0.0.2/24, s], mtu: 9000 }
  - { ends: [a:eth1=10.0.1.1/24, c:eth0=10.0.1.2/24], mtu: 65535 }
expect: { reach: ["a -> b", "a -> c"] }
`;

const MIB = 1 << 20;

describe("cables and switches", function () {
  this.timeout(180_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());
  afterEach(async () => {
    await house.run("down", "--all");
  });

  const sh = (guest: string, command: string) => house.sh(guest, command);

  for (const kernel of ["debian", "auto"]) {
    it(`keeps VLANs apart and trunks them, to a guest too, with the kernel ${kernel}`, async () => {
      await house.json(0, "up", house.topology("vlans", `kernel: ${kernel}\n${TRUNK}`));
      // a guest with an interface of the VLAN on the trunk: a whole stream, offloads and all
      await sh("stick", "sleep 1000 | nc -l -p 99 > /tmp/got & sleep 0.2");
      await sh("a", "ping -c 1 -W 2 10.0.10.9");
      const sent = await sh(
        "b",
        `head -c ${8 * MIB} /dev/urandom > /tmp/data; nc -w 2 10.0.10.9 99 < /tmp/data > /dev/null; sha256sum < /tmp/data`,
      );
      await eventually("the whole stream", async () => {
        return Number(await sh("stick", "wc -c < /tmp/got")) === 8 * MIB;
      });
      expect(await sh("stick", "sha256sum < /tmp/got")).to.equal(sent);
      const { counters } = await house.json(0, "status");
      const vlans = counters.switches.flatMap((one: { addresses: { vlan: number }[] }) =>
        one.addresses.map(({ vlan }) => vlan),
      );
      expect([...new Set(vlans)].sort()).to.include.members([10]);
      expect(vlans).to.not.include(0);
      // its untagged frames are of no VLAN there
      const stick = counters.switches[1].ports.find(
        (one: { link: string }) => one.link === "stick",
      );
      expect(stick.drops.vlan).to.be.greaterThan(0);
    });
  }

  for (const kernel of ["debian", "auto"]) {
    it(`carries the holes of a file that is sent without a copy, with the kernel ${kernel}`, async () => {
      await house.json(0, "up", house.topology("long", `kernel: ${kernel}\n${LONG}`));
      const sum = await sh(
        "a",
        "mkdir /tmp/www; truncate -s 3M /tmp/www/x; echo end >> /tmp/www/x; httpd -p 80 -h /tmp/www; sha256sum < /tmp/www/x",
      );
      await sh("b", "wget -q -T 20 -t 1 -O /tmp/got http://10.0.0.1/x");
      expect(await sh("b", "sha256sum < /tmp/got")).to.equal(sum);
      const { counters } = await house.json(0, "status");
      for (const { nic, connected, ringErrors } of counters.nics) {
        expect({ nic, connected, ringErrors }).to.include({ connected: true, ringErrors: 0 });
      }
    });
  }

  it("lets long frames through, to 9000 bytes and beyond", async () => {
    await house.json(0, "up", house.topology("long", LONG));
    await sh("a", "ping -c 1 -W 2 -M do -s 8972 10.0.0.2");
    await sh("a", "ping -c 1 -W 2 -M do -s 65000 10.0.1.2");
    expect(
      (await house.run("exec", "a", "--", "ping", "-M", "do", "-s", "8973", "10.0.0.2", "-c", "1"))
        .status,
    ).to.not.equal(0);
    expect(await sh("b", "cat /sys/class/net/eth0/mtu")).to.equal("9000\n");
  });

  it("joins guests whose memories are too large to stand side by side", async () => {
    const guests = ["a", "b", "c", "d", "e"];
    const ends = guests.map((guest, i) => `  - [${guest}:eth0=10.0.0.${i + 1}/24, s]\n`);
    const topology = [
      "defaults: { memory: 1G }\n",
      `guests: { ${guests.map((guest) => `${guest}: {}`).join(", ")} }\n`,
      `switches: [s]\nlinks:\n${ends.join("")}`,
    ];
    await house.json(0, "up", house.topology("large", topology.join("")));
    const make = `head -c ${8 * MIB} /dev/urandom > /tmp/data; sha256sum < /tmp/data`;
    for (const [from, to, address] of [
      ["a", "e", "10.0.0.5"],
      ["e", "c", "10.0.0.3"],
    ] as const) {
      const sum = await sh(from, make);
      expect(await house.transfer("cat /tmp/data", [from, to], address, "sha256sum")).to.equal(sum);
    }
  });

  it("survives a loop of switches: drops its storm, counts it, and goes on", async () => {
    await house.json(0, "up", house.topology("loop", LOOP));
    await house.run("exec", "a", "--", "ping", "-c", "3", "-W", "1", "10.0.0.2");
    const { counters } = await house.json(0, "status");
    const storms = counters.switches.flatMap((one: { ports: { drops: { storm?: number } }[] }) =>
      one.ports.map(({ drops }) => drops.storm ?? 0),
    );
    expect(Math.max(...storms)).to.be.greaterThan(0);
    await sh("b", "true");
  });

  it("tells its counters to programs: metrics, and over HTTP on a unix socket", async () => {
    await house.json(0, "up", house.topology("long", LONG));
    const { stdout } = await house.run("metrics");
    expect(stdout).to.match(/^uml_lab_link_frames_total\{lab="long",link="a:eth0--s",.*\} [1-9]/m);
    const socketPath = join(house.runFolder, "long", "metrics");
    const ask = (path: string) =>
      new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
        get({ socketPath, path }, async (answer) => {
          const chunks = await answer.toArray();
          resolve({ status: answer.statusCode, text: Buffer.concat(chunks).toString() });
        }).once("error", reject);
      });
    const { status, text } = await ask("/metrics");
    expect(status).to.equal(200);
    const names = (all: string) => [...new Set(all.match(/^uml_lab_\w+/gm))].sort();
    expect(names(text)).to.deep.equal(names(stdout));
    expect((await ask("/other")).status).to.equal(404);
  });

  it("shows what impairs a cable, and with --watch what passes each second", async () => {
    await house.json(0, "up", house.topology("long", LONG));
    await house.json(0, "link", "set", "a:eth0--s", "delay=1ms", "loss=0.5%", "--from", "a");
    const { stdout } = await house.run("link", "show", "a:eth0--s");
    expect(stdout).to.match(/^link +cable +impaired +frames +bytes +dropped$/m);
    expect(stdout).to.match(/^a:eth0--s +up +\S+ +delay=1ms loss=0.5% +\d/m);
    const child = house.start("link", "show", "b:eth0--s", "--watch");
    const ended = outcomeOf(child);
    let seen = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      seen += chunk;
    });
    await sh("a", "ping -i 0.02 -w 4 10.0.0.2 > /dev/null");
    const rates = () =>
      [...seen.matchAll(/^b:eth0--s +up +\S+ +(\d+) +\d/gm)]
        .slice(1)
        .map(([, rate]) => Number(rate));
    // sums would not fall again, and would be more than what the ping sends in a few seconds
    await eventually("rates, and none when nothing crosses", async () => {
      const busy = rates().findIndex((rate) => rate >= 10);
      return (
        busy >= 0 &&
        rates()
          .slice(busy)
          .some((rate) => rate <= 1)
      );
    });
    child.kill("SIGINT");
    expect((await ended).status).to.equal(130);
    expect(seen).to.include("frames/s");
    expect(Math.max(...rates())).to.be.within(10, 180);
  });

  it("takes cables out and plugs others in while it runs", async () => {
    await house.json(0, "up", house.topology("long", LONG));
    await house.json(0, "link", "remove", "a:eth1--c:eth0");
    await house.json(0, "link", "remove", "a:eth0--s");
    expect(await sh("c", "cat /sys/class/net/eth0/carrier")).to.equal("0\n");
    expect((await house.run("link", "add", "a", "nobody")).status).to.equal(2);
    const { link } = await house.json(0, "link", "add", "a:eth1", "c", "delay=1ms");
    expect(link).to.equal("a:eth1--c:eth0");
    await house.json(0, "link", "add", "a", "s", "name=again");
    await eventually("the ways of before", async () => {
      const ways = ["10.0.0.2", "10.0.1.2"].map((to) => `ping -c 1 -W 1 ${to}`).join(" && ");
      return (await house.run("exec", "a", "--", "sh", "-c", ways)).status === 0;
    });
    const { links } = await house.json(0, "link", "show");
    expect(links.map((one: { link: string }) => one.link)).to.have.members([
      "b:eth0--s",
      "a:eth1--c:eth0",
      "again",
    ]);
  });

  it("pulls a carrier with the cable, and gives it back", async () => {
    await house.json(0, "up", house.topology("long", LONG));
    await house.json(0, "link", "down", "a:eth1--c:eth0");
    await eventually("no carrier", async () => {
      return (await sh("c", "cat /sys/class/net/eth0/carrier")) === "0\n";
    });
    expect(await sh("a", "ip -o link show eth1")).to.match(/NO-CARRIER/);
    await house.json(0, "link", "up", "a:eth1--c:eth0");
    await eventually("a carrier", async () => {
      return (await sh("c", "cat /sys/class/net/eth0/carrier")) === "1\n";
    });
    await sh("a", "ping -c 1 -W 2 10.0.1.2");
  });
});
