/** Guests that reach the host's network, and ports of guests that open on the host's loopback. */

import { createSocket } from "node:dgram";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { eventually, House } from "./house.ts";
import { freePort } from "./ports.ts";

const isRoot = process.getuid?.() === 0;
const BIG = 1 << 20;

/** The body, or the error's code. */
function get(port: number, path: string): Promise<string> {
  return new Promise((resolve) => {
    const asked = request({ port, path, host: "127.0.0.1", timeout: 10_000 }, (answer) => {
      const chunks: Buffer[] = [];
      (answer as IncomingMessage).on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.once("end", () => resolve(Buffer.concat(chunks).toString()));
    });
    asked.once("timeout", () => asked.destroy(new Error("timeout")));
    asked.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    asked.end();
  });
}

for (const nobody of isRoot ? [false, true] : [false]) {
  describe(`ways out, as ${isRoot && !nobody ? "root" : "an unprivileged user"}`, function () {
    this.timeout(600_000);
    let house: House;
    let web: Server;
    let webPort: number;
    before(async () => {
      house = new House({ nobody });
      web = createServer((asked, answer) => {
        answer.end(asked.url === "/big" ? Buffer.alloc(BIG, 7) : `you asked for ${asked.url}`);
      }).listen(0, "127.0.0.1");
      await new Promise((resolve) => web.once("listening", resolve));
      webPort = (web.address() as AddressInfo).port;
    });
    after(async () => {
      web.close();
      await house.check();
    });
    afterEach(async () => {
      await house.run("down", "--all");
      await house.expectNothingLeft();
    });

    const sh = async (guest: string, command: string) =>
      (await house.run("exec", guest, "--", "sh", "-c", command)).stdout;
    // busybox's nc ends its side with its input, and waits for the other side's end
    const ask = (host: string, path: string) =>
      `(printf 'GET ${path} HTTP/1.0\\r\\n\\r\\n'; sleep 3) | timeout 60 nc -w 5 ${host} ${webPort}`;

    it("lets a guest out, to the host's loopback only where that is said, and beside its cables", async () => {
      const file = house.topology(
        "out",
        `guests:
  a: { internet: host, gateway: 10.0.0.2 }
  b: { internet: true, forward: true }
  c: {}
links:
  - [a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24]
  - [b:eth1=10.0.1.2/24, c:eth0=10.0.1.3/24]
`,
      );
      const report = await house.run("up", file, "--format", "json");
      const { reachability } = JSON.parse(report.stdout);
      const addresses = reachability.map(({ address }: { address: string }) => address);
      expect(addresses.filter((address: string) => address.startsWith("198."))).to.deep.equal([]);
      // its default route leads outside, and to the lab's other subnets as before
      expect(await sh("a", "ip route")).to.match(/default via 198\.18\.0\.1 dev internet/);
      expect(await sh("a", "ip route")).to.match(/10\.0\.1\.0\/24 via 10\.0\.0\.2 dev eth0/);
      expect(await sh("a", ask("host", "/x"))).to.include("you asked for /x");
      expect(Number(await sh("a", `${ask("host", "/big")} | wc -c`))).to.be.greaterThan(BIG);
      expect(await sh("b", ask("198.18.0.1", "/x"))).to.equal("");
      const { links } = await house.json(0, "link", "show");
      const out = links.find(({ link }: { link: string }) => link === "a:internet");
      expect(out.directions[1].bytes).to.be.greaterThan(BIG);
    });

    it("forwards ports of the loopback, TCP and UDP, and nothing else out", async () => {
      const tcp = await freePort();
      const udp = await freePort();
      const file = house.topology(
        "ports",
        `guests:\n  a: { ports: ["${tcp}:80", "${udp}:53/udp"] }\n`,
      );
      await house.json(0, "up", file);
      await sh(
        "a",
        "mkdir /www; echo from the guest > /www/index.html; busybox httpd -p 80 -h /www",
      );
      await eventually("the guest's page", async () => {
        return (await get(tcp, "/")) === "from the guest\n";
      });
      await sh("a", `head -c ${BIG} /dev/zero | tr '\\0' x > /www/big`);
      expect(await get(tcp, "/big")).to.equal("x".repeat(BIG));
      await sh(
        "a",
        "tcpdump -lni internet -c 1 udp dst port 53 > /tmp/seen 2> /dev/null & sleep 0.2",
      );
      const client = createSocket("udp4");
      await eventually("a datagram in the guest", async () => {
        client.send("question", udp, "127.0.0.1");
        return (await sh("a", "cat /tmp/seen")).includes("> 198.18.0.2.53");
      });
      client.close();
      // root of the guest makes itself a route: it is of no use
      expect(
        await sh("a", `ip route add default via 198.18.0.1; ${ask("198.18.0.1", "/x")}`),
      ).to.equal("");
      const { counters } = await house.json(0, "status");
      expect(counters.outlets[0].fromLab.drops["not-allowed"]).to.be.greaterThan(0);
      await house.json(0, "restart", "a");
      await sh("a", "mkdir /www; echo again > /www/index.html; busybox httpd -p 80 -h /www");
      await eventually("the page again", async () => (await get(tcp, "/")) === "again\n");
    });

    it("tells of a port that is taken, and starts nothing", async () => {
      const file = house.topology("taken", `guests:\n  a: { ports: ["${webPort}:80"] }\n`);
      const { error } = await house.json(3, "up", file);
      expect(error.code).to.equal("PORT_TAKEN");
      expect(error.message).to.include(`127.0.0.1:${webPort}`);
      await house.expectNothingLeft();
    });
  });
}
