/** A TAP of the host on a lab's switch. The host is a network namespace of its own. */

import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { captureWhile } from "./capture-while.ts";
import { eventually, House } from "./house.ts";
import { NOBODY } from "./nobody.ts";
import { OtherHost } from "./other-host.ts";
import { readCapture } from "./pcapng.ts";

const isRoot = process.getuid?.() === 0;
const PING = fileURLToPath(new URL("./ping-from-host.js", import.meta.url));
const BIG = 3_000_017;

const LAB = `guests: { a: , b: }
switches:
  lan: { subnet: 10.7.0.0/24, subnet6: "2001:db8:7::/64", tap: tap0 }
links: [[a, lan], [b, lan]]
`;

for (const nobody of isRoot ? [false, true] : [false]) {
  const who = isRoot && !nobody ? "root" : nobody ? "an unprivileged user" : "root of a namespace";
  describe(`a TAP of the host, as ${who}`, function () {
    this.timeout(600_000);
    let host: OtherHost;
    let house: House;

    before(async function () {
      const begun = await OtherHost.begin();
      if (typeof begun === "string") {
        console.log(`      no TAP can be had here, and none is tested: ${begun}`);
        return this.skip();
      }
      host = begun;
      // what labs are made of is fetched where there is a network
      const outside = new House({ nobody });
      await outside.json(0, "test", outside.topology("first", "guests: { a: }\n"));
      await outside.check();
      house = new House({ nobody, through: host.enter({ nobody }) });
    });
    after(async () => {
      await house?.check();
      await host?.[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      if (house === undefined) return;
      await house.run("down", "--all");
      await house.expectNothingLeft();
      await host.run("ip", "link", "del", "tap0");
    });

    const owner = nobody ? ` user ${NOBODY}` : "";
    const makeTap = () =>
      host.sh(`ip tuntap add dev tap0 mode tap${owner}
ip addr add 10.7.0.254/24 dev tap0
ip addr add 2001:db8:7::fe/64 dev tap0 nodad
ip link set tap0 up`);
    const pings = async (address: string, count = 3) =>
      Number(await host.sh(`${process.execPath} ${PING} ${address} ${count}`));
    const answers = (address: string) =>
      eventually(`an answer of ${address}`, async () => (await pings(address, 1)) === 1);
    const linkOf = async (name: string) => {
      const { links } = await house.json(0, "link", "show");
      return links.find((one: { link: string }) => one.link === name);
    };
    const tapCounters = async () => (await house.json(0, "status")).counters.outlets[0];
    /** What the host's side is, without what goes with the carrier. */
    const settings = async () => {
      const [link] = JSON.parse(await host.sh("ip -j -d addr show dev tap0"));
      const { operstate: _, flags, addr_info: addresses, linkinfo, ...rest } = link;
      return {
        ...rest,
        up: flags.includes("UP"),
        owner: linkinfo.info_data.user,
        kind: [linkinfo.info_kind, linkinfo.info_data.type, linkinfo.info_data.persist],
        addresses: addresses
          .filter(({ scope }: { scope: string }) => scope !== "link") // made with the first carrier
          .map(({ local, prefixlen }: Record<string, unknown>) => `${local}/${prefixlen}`),
      };
    };

    it("carries packets and connections both ways, and is left as it was", async () => {
      await makeTap();
      const before = await settings();
      await house.json(0, "up", house.topology("both", LAB));
      await answers("10.7.0.1");
      expect(await pings("10.7.0.2")).to.equal(3);
      expect(await house.sh("a", "ping -c 3 -i 0.1 10.7.0.254")).to.match(/ 3 received/);
      expect(await house.sh("a", "ping -c 3 -i 0.1 2001:db8:7::fe")).to.match(/ 3 received/);

      await house.sh(
        "a",
        `mkdir /www; head -c ${BIG} /dev/urandom > /www/big; httpd -p 80 -h /www`,
      );
      const sum = (await house.sh("a", "sha256sum /www/big")).slice(0, 64);
      for (const address of ["10.7.0.1", "[2001:db8:7::1]"]) {
        const got = await host.js<string>(
          `fetch("http://${address}/big").then((answer) => answer.arrayBuffer()).then(async (body) =>
            (await import("node:crypto")).createHash("sha256").update(Buffer.from(body)).digest("hex"))`,
        );
        expect(got, address).to.equal(sum);
      }

      const content = randomBytes(BIG);
      const file = join(house.folder, "files", "content");
      writeFileSync(file, content);
      const server = host.start(
        process.execPath,
        "--input-type=module",
        "-e",
        `import { createServer } from "node:http";
import { readFileSync } from "node:fs";
createServer((_, answer) => answer.end(readFileSync(${JSON.stringify(file)})))
  .listen(8000, "::", () => console.log("listening"));`,
      );
      await new Promise((resolve) => server.stdout?.once("data", resolve));
      try {
        const wanted = createHash("sha256").update(content).digest("hex");
        for (const address of ["10.7.0.254", "[2001:db8:7::fe]"]) {
          const got = await house.sh("b", `wget -q -O - http://${address}:8000/ | sha256sum`);
          expect(got.slice(0, 64), address).to.equal(wanted);
        }
      } finally {
        server.kill();
      }
      const link = await linkOf("lan:tap0");
      for (const { bytes } of link.directions) expect(bytes).to.be.above(2 * BIG);
      expect((await tapCounters()).fromLab.bytes).to.be.above(2 * BIG);
      await house.json(0, "down");
      expect(await settings()).to.deep.equal(before);
    });

    it("has a cable like others: pulled, impaired, captured, in events", async () => {
      await makeTap();
      const events = 'events: [{ at: 0s, link: "lan:tap0", set: { loss: 100% } }]\n';
      await house.json(0, "up", house.topology("cable", `${LAB}${events}`));
      expect(await pings("10.7.0.1", 2)).to.equal(0);
      await house.json(0, "link", "set", "lan:tap0", "loss=0%", "delay=1ms");
      await answers("10.7.0.1");

      await house.json(0, "link", "down", "lan:tap0");
      const carrier = async () =>
        JSON.parse(await host.sh("ip -j link show dev tap0"))[0].flags.includes("NO-CARRIER");
      await eventually("a host without carrier", async () => await carrier());
      expect(await pings("10.7.0.1", 1)).to.equal(0);
      await house.json(0, "link", "up", "lan:tap0");
      await eventually("the carrier", async () => !(await carrier()));
      await answers("10.7.0.1");

      const path = join(house.folder, "data", "tap.pcapng");
      const words = ["lan:tap0", "-w", path, "--filter", "icmp"];
      await captureWhile(house, words, () => pings("10.7.0.1", 5));
      const types = readCapture(path).map(({ bytes }) => bytes[34]);
      expect(types.filter((type) => type === 8)).to.have.length(5);
      expect(types.filter((type) => type === 0)).to.have.length(5);
      await host.sh(`rm ${path}`);
    });

    it("comes and goes by apply, and the lab outlives what the host does to it", async () => {
      await makeTap();
      const without = LAB.replace(", tap: tap0", "");
      await house.json(0, "up", house.topology("later", without));
      const file = house.topology("later", LAB);
      const { changes } = await house.json(0, "apply", file);
      expect(changes).to.deep.equal([{ kind: "link", action: "add", name: "lan:tap0", why: [] }]);
      await answers("10.7.0.1");

      // down at the host: frames to it are lost, and nothing else
      await host.sh("ip link set tap0 down");
      await house.sh("a", "ping -c 1 -w 1 10.7.0.254 || true");
      await eventually("drops", async () => (await tapCounters()).fromLab.drops["no-peer"] > 0);
      expect(await house.sh("a", "ping -c 3 -i 0.1 b")).to.match(/ 3 received/);

      await host.sh("ip link del tap0");
      await eventually("a TAP that is gone", async () => !(await tapCounters()).connected);
      expect(await house.sh("a", "ping -c 3 -i 0.1 b")).to.match(/ 3 received/);
      await makeTap();
      await house.json(0, "link", "remove", "lan:tap0");
      await house.json(0, "apply", file);
      await answers("10.7.0.2");

      await house.json(0, "apply", house.topology("later", without));
      expect(await linkOf("lan:tap0")).to.equal(undefined);
      expect(await pings("10.7.0.1", 1)).to.equal(0);
    });

    it("is told of before anything starts, with what mends it, and check needs no right", async () => {
      const inTheWay = house.topology("loopback", LAB.replace("tap0", "lo"));
      await house.json(0, "check", inTheWay);
      const { error } = await house.json(3, "up", inTheWay);
      expect(error.code).to.equal("NO_TAP");
      expect(error.message).to.match(/the interface lo is there already, and is no TAP/);
      await house.expectNothingLeft();

      await makeTap();
      await house.json(0, "up", house.topology("owner", LAB));
      const second = house.topology("second", LAB);
      await house.json(0, "check", second);
      const busy = (await house.json(3, "up", second)).error;
      expect(busy.code).to.equal("NO_TAP");
      expect(busy.message).to.match(/tap0 is in use/);
      expect(busy.hint).to.match(/fdinfo/);
      const { labs } = await house.json(0, "ps");
      expect(labs.map(({ name }: { name: string }) => name)).to.deep.equal(["owner"]);
      await answers("10.7.0.1");
      // and its own is not in its own way
      const more = LAB.replace("b: }", "b: , c: }").replace("[b, lan]", "[b, lan], [c, lan]");
      await house.json(0, "apply", house.topology("owner", more));
    });

    it("is refused where it is another user's, or there is none and no right to make one", async function () {
      if (!nobody) return this.skip(); // who may do all
      const file = house.topology("foreign", LAB);
      const refused = async (message: RegExp, hint: RegExp) => {
        await house.json(0, "check", file);
        const { error } = await house.json(3, "up", file);
        expect(error.code, error.message).to.equal("NO_RIGHT");
        expect(error.message).to.match(message);
        expect(error.hint).to.match(hint);
        await house.expectNothingLeft();
      };
      await refused(/no TAP tap0, and no right/, /^sudo ip tuntap add dev tap0 mode tap user \w+$/);
      await host.sh("ip tuntap add dev tap0 mode tap user 1");
      await refused(/belongs to another user/, /ip link del tap0 && .*tuntap add/);
      await host.sh("chmod 600 /dev/net/tun");
      await refused(/no right to open \/dev\/net\/tun/, /chmod 0666/);
      await host.sh("mv /dev/net/tun /dev/net/away");
      try {
        const { error } = await house.json(3, "up", file);
        expect([error.code, error.message]).to.deep.equal([
          "NO_TAP",
          "the TAP tap0: this machine has no /dev/net/tun (ENOENT)",
        ]);
        expect(error.hint).to.match(/modprobe tun/);
        // and who wants none does not look for one
        await house.json(0, "test", house.topology("none", LAB.replace(", tap: tap0", "")));
      } finally {
        await host.sh("mv /dev/net/away /dev/net/tun; chmod 666 /dev/net/tun");
      }
    });

    it("is made where the right is there, and is gone with the lab, however it ends", async function () {
      if (nobody) return this.skip(); // who may make none
      const interfaces = async () =>
        JSON.parse(await host.sh("ip -j link show")).map(
          ({ ifname }: { ifname: string }) => ifname,
        );
      for (const end of ["down", "crash"]) {
        const report = house.topology("made", LAB);
        await house.json(0, "up", report);
        expect(await interfaces()).to.deep.equal(["lo", "tap0"]);
        await host.sh("ip addr add 10.7.0.254/24 dev tap0; ip link set tap0 up");
        await answers("10.7.0.1");
        if (end === "down") await house.json(0, "down");
        else {
          const { fabricPid } = await house.json(0, "status");
          process.kill(fabricPid, "SIGKILL");
        }
        await eventually("a host without it", async () => (await interfaces()).length === 1);
        await house.run("clean");
      }
    });

    it("is where explain says that a packet left the lab", async () => {
      await makeTap();
      const file = house.topology(
        "out",
        `guests: { a: { gateway: 10.7.0.254 }, c: { gateway: 10.8.0.254 } }
switches: { lan: { subnet: 10.7.0.0/24, tap: tap0 }, far: { subnet: 10.8.0.0/24 } }
links: [[a, lan], [c, far]]
expect: { isolate: ["a -> c"] }
`,
      );
      await house.json(0, "up", file);
      const { status, stdout, stderr } = await house.run("explain", "a", "c", "--format", "json");
      expect(status, stdout + stderr).to.equal(1);
      expect(stdout).to.include('"left-lab"').and.include("left the lab by the host's tap0");
    });
  });
}
