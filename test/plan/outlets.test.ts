import { expect } from "chai";
import { makePlan } from "../../lab/plan/make-plan.ts";
import { setupWithOutlet } from "../../lab/plan/outlets.ts";
import { parseTopology } from "../../lab/topology/read.ts";
import { passtArguments } from "../../net/passt.ts";

const planOf = (text: string) =>
  makePlan(parseTopology("/lab/x.yaml", Buffer.from(`name: x\n${text}`), {}));
const guestOf = (text: string, name = "a") => {
  const found = planOf(text).guests.find((guest) => guest.name === name);
  if (found === undefined) throw new Error(`no guest ${name}`);
  return found;
};
/** What the guest is told of its way out. */
const toldOf = (text: string) => {
  const { setup, outlet } = guestOf(text);
  return setupWithOutlet(setup, outlet);
};
const textOf = (files: ReturnType<typeof toldOf>["files"], path: string) =>
  files.filter((file) => file.path === path).map(({ content }) => content.toString());

const TWO = `guests: { a: { internet: true, gateway: 10.0.0.2 }, b: { forward: true }, c: }
links:
  - [a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24]
  - [b:eth1=10.0.1.2/24, c:eth0=10.0.1.3/24]
`;

describe("ways out, planned", () => {
  it("are there for guests that ask for one, and for no other", () => {
    const plan = planOf(`guests: { a: { internet: true }, b: { ports: ["8080:80"] }, c: }`);
    expect(plan.guests.map(({ outlet }) => outlet?.internet)).to.deep.equal([
      true,
      false,
      undefined,
    ]);
    const macs = plan.guests.flatMap(({ outlet }) => (outlet === null ? [] : [outlet.mac]));
    expect(new Set(macs).size).to.equal(2);
  });

  it("take a subnet that the lab does not use", () => {
    const subnetWith = (address: string) =>
      guestOf(`guests: { a: { internet: true }, b: }\nlinks: [[a:eth0=${address}, b]]`).outlet
        ?.address;
    expect(subnetWith("10.0.0.1/24")).to.equal("198.18.0.2");
    expect(subnetWith("198.18.0.1/15")).to.equal("100.64.0.2");
    expect(subnetWith("198.18.0.77/25")).to.equal("100.64.0.2");
    expect(subnetWith("198.18.0.129/25")).to.equal("198.18.0.2");
    const route = "routes: [198.18.0.0/15 via 10.0.0.2]";
    const text = `guests: { a: { internet: true, ${route} }, b: }\nlinks: [[a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24]]`;
    expect(guestOf(text).outlet?.address).to.equal("100.64.0.2");
  });

  it("take the default route over, and leave the ways to the lab's subnets as they were", () => {
    expect(toldOf(TWO).routes).to.deep.equal([
      { to: "10.0.1.0/24", via: "10.0.0.2" },
      { to: "default", via: "198.18.0.1" },
    ]);
  });

  it("bring an interface, a name server, and the host's name where it is let in", () => {
    const told = toldOf(TWO);
    expect(told.interfaces.map(({ name, addresses }) => [name, ...addresses])).to.deep.equal([
      ["eth0", "10.0.0.1/24"],
      ["internet", "198.18.0.2/29"],
    ]);
    expect(textOf(told.files, "/etc/resolv.conf")).to.deep.equal(["nameserver 198.18.0.3\n"]);
    const names = ({ hosts }: typeof told) => hosts.flatMap((host) => host.names);
    expect(names(told)).to.not.include("host");
    expect(names(toldOf("guests: { a: { internet: host } }"))).to.include("host");
  });

  it("leave a resolv.conf of the guest's own alone", () => {
    const own = "files: { /etc/resolv.conf: nameserver 10.0.0.9 }";
    const told = toldOf(`guests: { a: { internet: true, ${own} } }`);
    expect(textOf(told.files, "/etc/resolv.conf")).to.deep.equal(["nameserver 10.0.0.9"]);
  });

  it("are no more than an interface where only ports are forwarded", () => {
    const told = toldOf(`guests: { a: { ports: ["8080:80"] } }`);
    expect(told.interfaces.map(({ name }) => name)).to.deep.equal(["internet"]);
    expect(told.routes).to.deep.equal([]);
    expect(textOf(told.files, "/etc/resolv.conf")).to.deep.equal([]);
  });
});

describe("passt's words", () => {
  const OPTIONS = {
    guest: "a",
    socketPath: "/s",
    logPath: "/l",
    address: "198.18.0.2",
    prefixLength: 29,
    gateway: "198.18.0.1",
    mtu: 65_520,
    nameServer: "198.18.0.3",
    host: false,
    ports: [],
  };
  const pairs = (words: readonly string[], name: string) =>
    words.flatMap((word, index) => (word === name ? [words[index + 1]] : []));

  it("keep the host's loopback closed unless it is said", () => {
    expect(passtArguments(OPTIONS)).to.include("--no-map-gw");
    expect(passtArguments({ ...OPTIONS, host: true })).to.not.include("--no-map-gw");
  });

  it("forward ports of the loopback only, each by its protocol", () => {
    const words = passtArguments({
      ...OPTIONS,
      ports: [
        { protocol: "tcp", host: 8080, guest: 80 },
        { protocol: "udp", host: 5353, guest: 53 },
        { protocol: "tcp", host: 8443, guest: 443 },
      ],
    });
    expect(pairs(words, "--tcp-ports")).to.deep.equal(["127.0.0.1/8080:80", "127.0.0.1/8443:443"]);
    expect(pairs(words, "--udp-ports")).to.deep.equal(["127.0.0.1/5353:53"]);
    expect(passtArguments(OPTIONS).join(" ")).to.not.match(/-ports/);
  });

  it("tell it the guest's addresses, and where names are asked for", () => {
    const words = passtArguments(OPTIONS);
    expect(pairs(words, "--address")).to.deep.equal(["198.18.0.2"]);
    expect(pairs(words, "--netmask")).to.deep.equal(["29"]);
    expect(pairs(words, "--gateway")).to.deep.equal(["198.18.0.1"]);
    expect(pairs(words, "--dns-forward")).to.deep.equal(["198.18.0.3"]);
  });
});
