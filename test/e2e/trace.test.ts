import type { ChildProcess } from "node:child_process";
import { expect } from "chai";
import type { TraceEvent } from "../../kernel/guest/trace/packets.ts";
import { configOf, listKernels } from "../../kernel/kernels.ts";
import { eventually, House, type Outcome, outcomeOf } from "./house.ts";

const ROUTED = `guests:
  alice: { gateway: 10.0.1.1 }
  bob: { gateway: 10.0.2.1 }
  r1: { forward: true }
links:
  - [alice:eth0=10.0.1.10/24, r1:eth0=10.0.1.1/24]
  - [bob:eth0=10.0.2.10/24, r1:eth1=10.0.2.1/24]
`;

/** A topology's own choice of kernel counts in these tests. */
function withoutOverride(): void {
  const override = process.env.UML_LAB_KERNEL;
  before(() => void delete process.env.UML_LAB_KERNEL);
  after(() => {
    if (override !== undefined) process.env.UML_LAB_KERNEL = override;
  });
}

interface Trace {
  readonly child: ChildProcess;
  readonly ended: Promise<Outcome>;
  /** Those so far. */
  readonly events: TraceEvent[];
}

describe("trace", function () {
  this.timeout(180_000);
  let house: House;
  withoutOverride();

  before(async function () {
    const kernels = await listKernels();
    const kernel = kernels.find((one) => configOf(one)?.includes("CONFIG_EVENT_TRACING=y\n"));
    if (kernel === undefined) {
      console.warn(
        "      SKIPPED: no kernel in the cache has trace events: uml-lab kernel build --debug",
      );
      return this.skip();
    }
    house = new House();
    await house.json(0, "up", house.topology("routed", `kernel: ${kernel.executable}\n${ROUTED}`));
  });
  after(async () => await house?.check());

  /** Resolves when the events are on. */
  const trace = async (...words: string[]): Promise<Trace> => {
    const child = house.start("trace", ...words, "--format", "json");
    const ended = outcomeOf(child);
    const events: TraceEvent[] = [];
    let rest = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString("utf8")).split("\n");
      rest = lines.pop() ?? "";
      // an error is a document of several lines
      const documents = lines.filter((line) => line.startsWith('{"'));
      events.push(...documents.map((line) => JSON.parse(line) as TraceEvent));
    });
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString("utf8");
    });
    await eventually(`tracing: ${said}`, async () => said.includes("Ctrl-C ends it"));
    return { child, ended, events };
  };

  const stop = async ({ child, ended }: Trace) => {
    child.kill("SIGINT");
    const { status, stderr } = await ended;
    expect(status, stderr).to.equal(0);
  };

  const expectNothingInGuest = async (guest: string) => {
    const look =
      "mkdir -p /tmp/t && mount -t tracefs t /tmp/t && ls /tmp/t/instances; cat /tmp/t/events/enable; " +
      "umount /tmp/t; ls /run/uml-lab; grep -c tracefs /proc/mounts; pidof cat; true";
    await eventually("nothing is left in the guest", async () =>
      /^0\n0\n$/.test(await house.sh(guest, look)),
    );
  };

  it("follows a ping through a router, and leaves the guest as it was", async () => {
    const running = await trace("r1", "--only", "receive,route,send");
    await house.sh("alice", "ping -c 1 -W 10 10.0.2.10");
    const find = (what: string, more: (event: TraceEvent) => boolean) =>
      running.events.find((event) => event.what === what && more(event));
    await eventually("the echo request is on its way", async () => {
      const route = find("routed", ({ to, packet }) => to === "10.0.2.10" && packet !== null);
      return find("sent", ({ packet }) => packet === route?.packet) !== undefined;
    });
    await stop(running);
    const route = find("routed", ({ to, packet }) => to === "10.0.2.10" && packet !== null);
    expect(route).to.include({
      from: "10.0.1.10",
      out: "eth1",
      interface: "eth0",
      protocol: "IPv4",
    });
    const life = running.events.filter(({ packet }) => packet === route?.packet);
    expect(life.map((event) => [event.what, event.interface])).to.deep.equal([
      ["received", "eth0"],
      ["routed", "eth0"],
      ["queued", "eth1"],
      ["sent", "eth1"],
    ]);
    expect(life[0]).to.include({ kind: "receive", protocol: "IPv4", bytes: 84 });
    const times = running.events.map(({ timeUs }) => timeUs);
    expect(times).to.deep.equal(times.toSorted((a, b) => a - b));
    await expectNothingInGuest("r1");
  });

  it("tells why a packet was dropped, by which function, and the ICMP error", async () => {
    const running = await trace("r1", "--only", "receive,drop,icmp");
    await house.sh("alice", "nc -w 1 10.0.1.1 4444 < /dev/null; true");
    await house.sh("alice", "ping -c 1 -t 1 -W 1 10.0.2.10; true");
    const drop = (why: string) => running.events.find(({ reason }) => reason === why);
    await eventually("two drops", async () =>
      ["NO_SOCKET", "IP_INHDR"].every((why) => drop(why) !== undefined),
    );
    await stop(running);
    expect(drop("NO_SOCKET")).to.include({ interface: "eth0", function: "tcp_v4_rcv" });
    expect(drop("IP_INHDR")).to.include({ interface: "eth0", function: "ip_forward" });
    const error = running.events.find(({ what }) => what === "icmp sent");
    expect(error).to.include({ type: 11, code: 0, from: "10.0.1.10", to: "10.0.2.10" });
    expect(error?.packet).to.equal(drop("IP_INHDR")?.packet);
  });

  for (const [family, address, receiver] of [
    ["IPv4", "10.0.1.1", /^(__udp4_lib|udp)_rcv$/],
    ["IPv6", "2001:db8::1", /^(__udp6_lib|udpv6)_rcv$/],
  ] as const) {
    it(`tells of UDP over ${family} that nobody listens for`, async () => {
      const addresses = async (verb: "add" | "del") => {
        await house.sh("r1", `ip address ${verb} 2001:db8::1/64 dev eth0 nodad`);
        await house.sh("alice", `ip address ${verb} 2001:db8::a/64 dev eth0 nodad`);
      };
      await addresses("add");
      try {
        const running = await trace("r1", "--only", "drop,icmp");
        await house.sh("alice", `traceroute -n -q 1 -m 1 ${address}`);
        const isSought = ({ protocol, reason }: TraceEvent) =>
          protocol === family && reason === "NO_SOCKET";
        await eventually("a drop", async () => running.events.some(isSought));
        await stop(running);
        expect(running.events.find(isSought)?.function).to.match(receiver);
        // the kernel has an event for errors of ICMP, and none for those of ICMPv6
        const error = running.events.find(({ what }) => what === "icmp sent");
        if (family === "IPv6") expect(error).to.equal(undefined);
        else expect(error).to.include({ type: 3, code: 3 });
      } finally {
        await addresses("del");
      }
    });
  }

  it("shows TCP's states, and what comes to a socket", async () => {
    const running = await trace("bob", "--only", "tcp,deliver");
    expect(await house.transfer("echo word", ["alice", "bob"], "10.0.2.10", "cat")).to.equal(
      "word\n",
    );
    await eventually("the connection is over", async () =>
      running.events.some(({ after }) => after === "CLOSE"),
    );
    await stop(running);
    const states = running.events.map(({ before, after }) => `${before}-${after}`);
    expect(states).to.include("SYN_RECV-ESTABLISHED");
    expect(running.events.some(({ what, protocol }) => what === "in socket" && protocol === "TCP"))
      .to.be.true;
  });

  it("ends after --count events; two at once see the same", async () => {
    const both = await Promise.all([trace("r1", "--count", "4"), trace("r1", "-n", "6")]);
    await house.sh("alice", "ping -c 2 -W 10 10.0.2.10");
    const outcomes = await Promise.all(both.map(({ ended }) => ended));
    expect(outcomes.map(({ status }) => status)).to.deep.equal([0, 0]);
    const [four, six] = both.map(({ events }) => events.map(({ what }) => what));
    expect(four).to.have.lengthOf(4);
    expect(six?.slice(0, 4)).to.deep.equal(four);
    await expectNothingInGuest("r1");
  });

  it("leaves nothing in the guest when it is killed", async () => {
    const running = await trace("r1");
    running.child.kill("SIGKILL");
    await running.ended;
    await expectNothingInGuest("r1");
  });

  it("leaves a trace of the guest's own alone", async () => {
    const own = "/sys/kernel/tracing";
    await house.sh(
      "r1",
      `mount -t tracefs t ${own} && echo 1 > ${own}/events/net/net_dev_queue/enable`,
    );
    await stop(await trace("r1"));
    expect(await house.sh("r1", `cat ${own}/events/net/net_dev_queue/enable`)).to.equal("1\n");
    await house.sh("r1", `echo 0 > ${own}/events/enable; umount ${own}`);
  });

  it("is text in columns, without colour in a pipe", async () => {
    const ended = house.run("trace", "r1", "-n", "2", "--only", "receive");
    // its beginning is not seen from here
    await house.sh("alice", "ping -c 10 -i 0.3 -W 10 10.0.2.10");
    const { status, stdout, stderr } = await ended;
    expect(status, stderr).to.equal(0);
    expect(stdout).to.match(
      /^ {4}0\.00\d{4} {5}#\d+ {2}eth\d {4}received {4}(IPv4|ARP), \d+ bytes$/m,
    );
    expect(stdout.trimEnd().split("\n")).to.have.lengthOf(2);
  });

  it("ends with its guest, and says so", async () => {
    const running = await trace("bob");
    await house.json(0, "stop", "bob");
    const { status, stdout, stderr } = await running.ended;
    expect(status, stderr).to.equal(4);
    expect(stdout).to.match(/"code": "GUEST_FAILED"/);
    await house.json(0, "start", "bob");
  });
});

describe("trace, with a kernel that has no trace events", function () {
  this.timeout(180_000);
  let house: House;
  withoutOverride();
  before(() => {
    house = new House();
  });
  after(() => house.check());

  it("says which command makes one that has, with status 3, and leaves nothing", async () => {
    await house.json(0, "up", house.topology("debian", "kernel: debian\nguests: { a: {} }\n"));
    const { status, stdout, stderr } = await house.run("trace", "a");
    expect(status).to.equal(3);
    expect(stdout).to.equal("");
    expect(stderr).to.match(
      /^error: the kernel of a \(.*\) has no trace events\n.*uml-lab kernel build/,
    );
    const { error } = await house.json(3, "trace", "a");
    expect(error.code).to.equal("NO_KERNEL");
    expect(await house.sh("a", "ls /run/uml-lab 2> /dev/null; true")).to.equal("");
  });
});
