/** A running lab brought to what its file says now, with real kernels. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { eventually, House, outcomeOf } from "./house.ts";

const BEFORE = `guests:
  a: {}
  b: {}
  c: {}
  d: { sysctl: { net.ipv4.ip_default_ttl: 60 } }
switches: { lan: { subnet: 10.0.0.0/24 }, old: {} }
links:
  - { ends: [a, lan], name: la, rate: 20Mbit }
  - { ends: [b, lan], name: lb }
  - { ends: [c, lan], name: lc }
  - { ends: [d:eth0=10.0.1.1/24, old], name: ld }
expect: { reach: ["a <-> b"] }
`;

/** c goes, e comes before all others, d is at another switch with another address. */
const AFTER = `guests:
  e: {}
  a: {}
  b: {}
  d: { gateway: 10.0.2.9, sysctl: { net.ipv4.ip_default_ttl: 50 } }
switches: { lan: { subnet: 10.0.0.0/24 }, new: {} }
links:
  - { ends: [e, lan], name: le }
  - { ends: [e:eth1=10.0.2.9/24, new], name: le2, delay: 20ms }
  - { ends: [a, lan], name: la, rate: 20Mbit }
  - { ends: [b, lan], name: lb }
  - { ends: [d:eth0=10.0.2.1/24, new], name: ld }
expect: { reach: ["a <-> b", "e -> *", "d -> e"], isolate: ["a -> d"] }
`;

/** Sends until /tmp/stop is there; prints what the sum of all is. */
const SEND = `mkfifo /tmp/pipe; sha256sum < /tmp/pipe & sum=$!
while [ ! -e /tmp/stop ]; do head -c 65536 /dev/urandom; done | tee /tmp/pipe |
  socat -u - TCP:10.0.0.2:99,retry=100,interval=0.1
wait $sum`;
const RECEIVE = "socat -u TCP-LISTEN:99,reuseaddr - | sha256sum";

const ONE = `guests: { a: {}, b: {} }
links: [[a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24]]
expect: { reach: ["a <-> b"] }
`;

describe("apply", function () {
  this.timeout(400_000);
  let house: House;
  before(() => {
    house = new House();
  });
  after(() => house.check());
  afterEach(async () => {
    await house.run("down", "--all");
    await house.expectNothingLeft();
  });

  // biome-ignore lint/suspicious/noExplicitAny: documents
  const status = (): Promise<any> => house.json(0, "status");
  /** From each guest's name to its process. */
  const pids = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await status()).guests.map(({ name, pid }: { name: string; pid: number }) => [name, pid]),
    );
  const texts = (changes: { action: string; name: string }[]) =>
    changes.map(({ action, name }) => `${action} ${name}`);

  it("changes what differs, and a transfer between two others goes on intact", async () => {
    const record = join(house.folder, "record");
    await house.json(0, "up", house.topology("lab", BEFORE), "--record", record);
    const before = await pids();
    const sending = outcomeOf(house.start("exec", "a", "--", "sh", "-c", SEND));
    const receiving = outcomeOf(house.start("exec", "b", "--", "sh", "-c", RECEIVE));
    const moved = async () => {
      const { counters } = await status();
      const la = counters.links.find(({ link }: { link: string }) => link === "la");
      return la.directions[0].bytes as number;
    };
    await eventually("a transfer", async () => (await moved()) > 1 << 20);

    const file = house.topology("lab", AFTER);
    const dry = await house.json(0, "apply", file, "--dry-run");
    expect(dry.report).to.equal(null);
    expect(texts(dry.changes)).to.have.members([
      ...["remove c", "remove lc", "remove old", "add e", "add new", "add le", "add le2"],
      ...["replace ld", "change a", "change b", "change d", "replace expect"],
    ]);
    expect(await pids()).to.deep.equal(before);

    const { changes, report } = await house.json(0, "apply", file);
    expect(changes).to.deep.equal(dry.changes);
    expect(report.verdict).to.equal("pass");
    const { c: _, ...others } = before;
    const { e, ...same } = await pids();
    expect(same).to.deep.equal(others);
    expect(e).to.be.greaterThan(1);
    // e is the first of the file now, and took what c left
    const address = (name: string) =>
      report.guests.find((one: { name: string }) => one.name === name).interfaces[0].addresses[0];
    expect(["a", "b", "e"].map(address)).to.deep.equal([
      "10.0.0.1/24",
      "10.0.0.2/24",
      "10.0.0.3/24",
    ]);
    expect(await house.sh("d", "ip -4 -o address show eth0; ip route")).to.match(
      /inet 10\.0\.2\.1\/24[\s\S]*default via 10\.0\.2\.9/,
    );
    expect(await house.sh("d", "cat /proc/sys/net/ipv4/ip_default_ttl")).to.equal("50\n");
    expect(await house.sh("d", "ip -4 -o address show eth0")).to.not.include("10.0.1.1");
    const ping = await house.sh("d", "ping -c 1 -W 5 10.0.2.9");
    expect(Number(/time=([\d.]+)/.exec(ping)?.[1])).to.be.at.least(40);
    expect(await house.sh("a", "getent hosts e || grep -w e /etc/hosts")).to.include("10.0.0.3");

    // what others see of it
    const { labs } = await house.json(0, "ps");
    expect(labs[0]).to.include({ name: "lab", guests: 4, file });
    expect(readdirSync(join(house.runFolder, "lab", "g")).sort()).to.deep.equal([
      ...["a", "b", "d", "e"],
    ]);
    expect((await house.run("graph", "lab")).stdout).to.include("e:eth1");
    expect((await house.run("explain", "d", "e")).status).to.equal(0);
    expect((await house.run("exec", "c", "--", "true")).status).to.equal(2);
    expect((await house.json(0, "apply", file)).changes).to.deep.equal([]);

    // a file with a mistake touches nothing
    const wrong = house.topology("lab", AFTER.replace("[b, lan]", "[b, lna]"));
    const { error } = await house.json(2, "apply", wrong);
    expect(error.line).to.be.greaterThan(1);
    expect(await pids()).to.deep.equal({ ...others, e });

    const soFar = await moved();
    await eventually("more of the transfer", async () => (await moved()) > soFar);
    await house.sh("a", "touch /tmp/stop");
    const [sent, received] = await Promise.all([sending, receiving]);
    expect(sent.status, sent.stderr).to.equal(0);
    expect(sent.stdout).to.match(/^[0-9a-f]{64} /);
    expect(received).to.include({ status: 0, stdout: sent.stdout });
    await house.json(0, "down");
    const frames = readFileSync(join(record, "lab.pcapng"));
    expect(frames.includes("e:eth1")).to.equal(true);
  });

  it("says what to do where the lab does not run, and where a guest does not come up", async () => {
    const file = house.topology("lab", ONE);
    const { error } = await house.json(2, "apply", file);
    expect(error).to.include({ code: "NO_SUCH_LAB", hint: `uml-lab up ${file}` });
    await house.json(0, "up", file);
    const { a, b } = await pids();

    house.topology("lab", ONE.replace("b: {}", 'b: {}, c: { run: ["echo no way; false"] }'));
    const failure = await house.json(4, "apply", file);
    expect(failure.error.code).to.equal("GUEST_SETUP");
    expect(failure.error.message).to.match(/no way[\s\S]*not done: add guest c\ndone: /);
    expect((await status()).guests.map(({ state }: { state: string }) => state)).to.deep.equal([
      ...["ready", "ready", "failed"],
    ]);
    // corrected, it is applied again; its kernel ends with the supervisor, though that is killed
    house.topology("lab", ONE.replace("b: {}", "b: {}, c: {}"));
    const again = await house.json(0, "apply", file);
    expect(texts(again.changes)).to.deep.equal(["restart c"]);
    expect(await pids()).to.include({ a, b });
    const { supervisorPid } = await status();
    process.kill(supervisorPid, "SIGKILL");
    await eventually("the crash", async () => {
      const { labs } = await house.json(0, "ps");
      return labs[0].state === "crashed";
    });
    expect((await house.run("apply", file)).status).to.equal(4);
    await house.json(0, "clean");
    await house.expectNothingLeft();
  });

  it("opens and closes ways out, and gives and takes disks", async () => {
    const port = await freePort();
    const file = house.topology("lab", ONE);
    await house.json(0, "up", file);
    const { b } = await pids();
    house.topology(
      "lab",
      ONE.replace("a: {}", "a: { disk: 64M }").replace(
        "b: {}",
        `b: {}, c: { ports: ["${port}:80"] }`,
      ),
    );
    const { changes } = await house.json(0, "apply", file);
    expect(texts(changes)).to.have.members(["restart a", "add c"]);
    await house.sh("a", "echo kept > /etc/work; sync");
    await house.json(0, "restart", "a");
    expect(await house.sh("a", "cat /etc/work")).to.equal("kept\n");
    await house.sh("c", "mkdir /www; echo hello > /www/index.html; busybox httpd -p 80 -h /www");
    const page = async () => {
      try {
        return await (await fetch(`http://127.0.0.1:${port}/`)).text();
      } catch {
        return undefined;
      }
    };
    await eventually("the guest's page", async () => (await page()) === "hello\n");

    const other = await freePort();
    house.topology(
      "lab",
      readFileSync(file, "utf8")
        .replace(/^name.*\n/, "")
        .replace(`${port}:80`, `${other}:80`),
    );
    const { c } = await pids();
    const moved = await house.json(0, "apply", file);
    expect(texts(moved.changes)).to.deep.equal(["replace c"]);
    expect((await pids()).c).to.equal(c);
    expect(await page()).to.equal(undefined);
    const at = await fetch(`http://127.0.0.1:${other}/`);
    expect(await at.text()).to.equal("hello\n");

    const disks = join(house.folder, "data", "uml-lab", "disks");
    const kept = () =>
      existsSync(disks)
        ? readdirSync(disks, { recursive: true }).filter((name) => `${name}`.endsWith(".ext4"))
        : [];
    expect(kept()).to.have.lengthOf(1);
    house.topology("lab", ONE);
    const { report } = await house.json(0, "apply", file);
    expect(report.verdict).to.equal("pass");
    expect(kept()).to.deep.equal([]);
    expect((await pids()).b).to.equal(b);
    const { counters } = await status();
    expect(counters.outlets).to.deep.equal([]);
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
