import { expect } from "chai";
import type { LabError } from "../../base/errors.ts";
import { applySetup, hostsFile, type SetupAgent, sysctlPath } from "../../kernel/guest/setup.ts";
import type { GuestSetup } from "../../kernel/guest/spec.ts";

const GETLINK = 18;

/** struct ifinfomsg with a name and a MAC address, as the kernel answers a dump. */
function linkMessage(index: number, name: string, mac: string): Buffer {
  const attribute = (type: number, value: Buffer) => {
    const bytes = Buffer.alloc((4 + value.length + 3) & ~3);
    bytes.writeUInt16LE(4 + value.length, 0);
    bytes.writeUInt16LE(type, 2);
    value.copy(bytes, 4);
    return bytes;
  };
  const body = Buffer.concat([
    Buffer.alloc(16),
    attribute(3, Buffer.from(`${name}\0`)),
    attribute(1, Buffer.from(mac.replaceAll(":", ""), "hex")),
  ]);
  body.writeInt32LE(index, 4);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(16, 4);
  return Buffer.concat([header, body]);
}

/** An agent that writes down what it is asked, and refuses some routing messages. */
class FakeAgent implements SetupAgent {
  readonly log: string[] = [];
  readonly links: Buffer[];
  refuse: number | undefined;
  status = 0;

  constructor(links: Buffer[]) {
    this.links = links;
  }

  writeFile(path: string, content: Uint8Array, mode: number | undefined): Promise<void> {
    const text = Buffer.from(content).toString();
    this.log.push(`write ${path} ${mode?.toString(8) ?? "-"} ${JSON.stringify(text)}`);
    return path.includes("nonsense")
      ? Promise.reject(new Error("no such file"))
      : Promise.resolve();
  }

  netlink(messages: Uint8Array): Promise<Uint8Array> {
    const bytes = Buffer.from(messages);
    const answers: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = bytes.readUInt32LE(at);
      const type = bytes.readUInt16LE(at + 4);
      this.log.push(`netlink ${type} ${bytes.toString("hex", at + 16, at + length)}`);
      if (type === GETLINK) return Promise.resolve(Buffer.concat(this.links));
      const sequence = bytes.readUInt32LE(at + 8);
      const answer = Buffer.alloc(36);
      answer.writeUInt32LE(36, 0);
      answer.writeUInt16LE(2, 4);
      answer.writeUInt32LE(sequence, 8);
      answer.writeInt32LE(sequence === this.refuse ? -101 : 0, 16);
      answers.push(answer);
      at += (length + 3) & ~3;
    }
    return Promise.resolve(Buffer.concat(answers));
  }

  run(command: string) {
    this.log.push(`run ${command}`);
    return Promise.resolve({ code: this.status, stdout: "out\n", stderr: "err\n" });
  }

  startImage() {
    this.log.push("start the image");
    return Promise.resolve();
  }
}

const setup: GuestSetup = {
  hostname: "alice",
  hosts: [{ address: "10.0.1.11", names: ["bob"] }],
  sysctl: { "net.ipv4.ip_forward": "1" },
  interfaces: [
    {
      name: "eth0",
      mac: "02:00:00:00:00:0A",
      mtu: 1400,
      addresses: ["10.0.1.10/24", "2001:db8::10/64"],
    },
  ],
  routes: [
    { to: "default", via: "10.0.1.1" },
    { to: "2001:db8:9::/48", via: "2001:db8::1" },
  ],
  files: [{ path: "/etc/motd", content: Buffer.from("hi"), mode: 0o640 }],
  env: {},
  services: [{ name: "FRR", start: "start frr" }],
  startsImage: false,
  run: ["echo one", "echo two"],
};

const links = () => [
  linkMessage(1, "lo", "00:00:00:00:00:00"),
  linkMessage(7, "eth0", "02:00:00:00:00:0a"),
];
const signal = new AbortController().signal;

async function failureOf(promise: Promise<unknown>): Promise<LabError> {
  return await promise.then(
    () => expect.fail("it did not fail"),
    (error) => error,
  );
}

describe("guest setup", () => {
  it("does everything in order", async () => {
    const agent = new FakeAgent(links());
    await applySetup("alice", setup, agent, signal);
    expect(agent.log).to.deep.equal([
      'write /proc/sys/kernel/hostname - "alice"',
      'write /etc/hostname 644 "alice\\n"',
      `write /etc/hosts 644 ${JSON.stringify(hostsFile(setup))}`,
      'write /proc/sys/net/ipv6/conf/default/accept_dad - "0\\n"',
      'write /proc/sys/net/ipv6/conf/default/dad_transmits - "0\\n"',
      'write /proc/sys/net/ipv6/conf/eth0/accept_dad - "0\\n"',
      'write /proc/sys/net/ipv6/conf/eth0/dad_transmits - "0\\n"',
      'write /proc/sys/net/ipv4/ip_forward - "1\\n"',
      "netlink 18 00000000000000000000000000000000",
      // up, MTU 1400
      "netlink 16 000000000700000001000000010000000800040078050000",
      // 10.0.1.10/24: local, address, broadcast
      "netlink 20 0218000007000000080002000a00010a080001000a00010a080004000a0001ff",
      // 2001:db8::10/64 without duplicate address detection
      "netlink 20 0a40020007000000" +
        "1400020020010db8000000000000000000000010" +
        "1400010020010db8000000000000000000000010",
      // default via 10.0.1.1
      "netlink 24 02000000fe04000100000000080005000a000101",
      "netlink 24 0a300000fe04000100000000" +
        "1400010020010db8000900000000000000000000" +
        "1400050020010db8000000000000000000000001",
      'write /etc/motd 640 "hi"',
      "run start frr",
      "run echo one",
      "run echo two",
    ]);
  });

  it("renames interfaces that came in another order", async () => {
    const agent = new FakeAgent([
      linkMessage(2, "eth0", "02:00:00:00:00:02"),
      linkMessage(3, "eth1", "02:00:00:00:00:01"),
    ]);
    const named = (name: string, mac: string) => ({ name, mac, mtu: 1500, addresses: [] });
    const interfaces = [named("eth0", "02:00:00:00:00:01"), named("eth1", "02:00:00:00:00:02")];
    await applySetup("x", { ...setup, interfaces, routes: [], run: [] }, agent, signal);
    const names = agent.log
      .filter((line) => line.startsWith("netlink 16"))
      .map((line) => {
        const bytes = Buffer.from(line.slice(11), "hex");
        const text = bytes.readUInt16LE(18) === 3 ? bytes.toString("latin1", 20) : "up";
        return `${bytes.readInt32LE(4)} ${text.replace(/\0+$/, "")}`;
      });
    expect(names).to.deep.equal(["3 lab3", "2 lab2", "3 eth0", "2 eth1", "3 up", "2 up"]);
  });

  it("names the step that the kernel refused", async () => {
    const agent = new FakeAgent(links());
    agent.refuse = 4;
    const error = await failureOf(applySetup("alice", setup, agent, signal));
    expect(error.code).to.equal("GUEST_SETUP");
    expect(error.message).to.equal(
      "guest alice: route default via 10.0.1.1: network is unreachable",
    );
  });

  it("names a setting that is not there", async () => {
    const sysctl = { "net.nonsense": "1" };
    const error = await failureOf(
      applySetup("alice", { ...setup, sysctl }, new FakeAgent(links()), signal),
    );
    expect(error.code).to.equal("GUEST_SETUP");
    expect(error.message).to.equal("guest alice: sysctl net.nonsense=1: no such file");
  });

  it("names an interface that is not there", async () => {
    const error = await failureOf(applySetup("alice", setup, new FakeAgent([]), signal));
    expect(error.message).to.equal("guest alice: eth0 (02:00:00:00:00:0A) is not there");
  });

  it("shows the command that failed, its status and output", async () => {
    const agent = new FakeAgent(links());
    agent.status = 3;
    const without = { ...setup, services: [] };
    const error = await failureOf(applySetup("alice", without, agent, signal));
    expect(error.code).to.equal("GUEST_SETUP");
    expect(error.message).to.equal("guest alice: `echo one` ended with status 3\nout\nerr");
    expect(agent.log).not.to.include("run echo two");
  });

  it("names the service that does not start, with what it said", async () => {
    const agent = new FakeAgent(links());
    agent.status = 1;
    const error = await failureOf(applySetup("alice", setup, agent, signal));
    expect(error.code).to.equal("GUEST_SETUP");
    expect(error.message).to.equal("guest alice: FRR does not run: out\nerr");
    expect(agent.log).not.to.include("run echo one");
  });

  it("finds the file of a setting as sysctl does", () => {
    expect(sysctlPath("net.ipv4.ip_forward")).to.equal("/proc/sys/net/ipv4/ip_forward");
    expect(sysctlPath("net/ipv4/conf/eth0.5/forwarding")).to.equal(
      "/proc/sys/net/ipv4/conf/eth0.5/forwarding",
    );
    expect(sysctlPath("net.ipv4.conf.eth0/5.forwarding")).to.equal(
      "/proc/sys/net/ipv4/conf/eth0.5/forwarding",
    );
  });

  it("knows the guest's own name where the lab gave it no address", () => {
    expect(hostsFile({ hostname: "x", hosts: [] })).to.match(/^127\.0\.1\.1 x$/m);
    expect(hostsFile({ hostname: "bob", hosts: setup.hosts })).not.to.include("127.0.1.1");
  });
});
