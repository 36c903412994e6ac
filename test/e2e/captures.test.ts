/** Captures of running labs, as Wireshark's tshark reads them. */

import { createWriteStream, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { Random } from "../../base/random.ts";
import { captureWhile } from "./capture-while.ts";
import { eventually, House, outcomeOf } from "./house.ts";
import { freePort } from "./ports.ts";
import { isRight, isTsharkThere, read, readRight, type Seen, startTshark } from "./tshark.ts";

const MIB = 1 << 20;
const TOPOLOGY = `guests:
  a: { interfaces: { eth2: [10.0.2.1/24, 2001:db8::1/64] } }
  b: { interfaces: { eth2: [10.0.2.2/24, 2001:db8::2/64] } }
  c:
switches: [lan]
links:
  - { ends: [a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24], name: cable }
  - { ends: [a:eth1=10.0.1.1/24, b:eth1=10.0.1.2/24], name: rough }
  - { ends: [a:eth2, lan], name: left }
  - { ends: [b:eth2, lan], name: right }
  - { ends: [c:eth0=10.0.2.3/24, lan], name: third }
expect: { reach: ["a -> b"] }
`;

/** Bytes that no compression and no repetition helps with. */
function noise(bytes: number, seed: number): Buffer {
  const random = new Random(seed, "noise");
  const words = Uint32Array.from({ length: bytes / 4 }, () => random.uint32());
  return Buffer.from(words.buffer);
}

interface Counted {
  readonly frames: number;
  readonly drops: Readonly<Record<string, number>>;
}

describe("captures, read by tshark", function () {
  this.timeout(600_000);
  let house: House;
  before(async function () {
    if (!(await isTsharkThere())) {
      console.log("      tshark is not installed: nobody looks at captures here");
      this.skip();
    }
    house = new House();
    await house.json(0, "up", house.topology("seen", TOPOLOGY));
  });
  after(async () => {
    await house?.check();
  });

  const sh = (guest: string, command: string) => house.sh(guest, command);
  const file = (name: string) => join(house.folder, "files", name);

  const capture = (words: readonly string[], work: () => Promise<unknown>) =>
    captureWhile(house, words, work);

  /** Sends a file from a to b over TCP, and expects that it arrives. */
  async function send(data: Buffer, address: string): Promise<void> {
    const path = file("data");
    writeFileSync(path, data);
    await house.json(0, "cp", path, "a:/tmp/data");
    expect(await house.transfer("cat /tmp/data", ["a", "b"], address, "sha256sum")).to.equal(
      await sh("a", "sha256sum < /tmp/data"),
    );
  }

  /** No guest has anything to send for one any more: what is left of it is TIME_WAIT. */
  async function connectionsAreOver(): Promise<void> {
    await eventually("the end of the connections", async () => {
      const tables = await Promise.all(["a", "b"].map((guest) => sh(guest, "cat /proc/net/tcp*")));
      // proc(5): number, local and remote address, state; 06 is TIME_WAIT
      const sockets = tables.flatMap((text) =>
        text.split("\n").map((line) => line.trim().split(/\s+/)),
      );
      return !sockets.some(
        ([, local, remote, state]) =>
          state !== "06" && [local, remote].some((address) => address?.endsWith(":0063")),
      );
    });
  }

  async function passed(link: string): Promise<readonly [Counted, Counted]> {
    const { links } = await house.json(0, "link", "show", link);
    return links[0].directions;
  }

  it("of a link show both ways, whole segments and the stream that was sent", async () => {
    const data = noise(4 * MIB, 1);
    const counts = await capture(["cable", "-w", file("cable")], async () => {
      await send(data, "10.0.0.2");
      await sh("a", "traceroute -n 10.0.0.2; ping -c 1 -s 4000 10.0.0.2");
    });
    const fields = ["frame.interface_name", "frame.comment", "frame.len", "udp.srcport"] as const;
    const { frames, stream } = await readRight(file("cable"), ...fields);
    expect(counts).to.deep.equal({ recorded: frames.length, missed: 0 });
    expect(valuesOf(frames, "frame.interface_name")).to.have.members(["a:eth0", "b:eth0"]);
    expect(valuesOf(frames, "frame.comment")).to.deep.equal(["delivered"]);
    // what guests send each other in pieces of 64 KB is cut as a wire would have it
    expect(Math.max(...frames.map((one) => Number(one["frame.len"])))).to.equal(1514);
    expect(stream.equals(data)).to.be.true;
    expect(valuesOf(frames, "udp.srcport")).to.have.length.greaterThan(1);
  });

  it("of a link that loses, delays and limits tell each frame's fate, and still hold the stream", async () => {
    const data = noise(MIB, 2);
    await house.json(0, "link", "set", "rough", "loss=2%", "delay=2ms", "rate=50Mbit", "queue=5");
    const before = await passed("rough");
    const within: (readonly [Counted, Counted])[] = [];
    await capture(["rough", "-w", file("rough")], async () => {
      within.push(await passed("rough"));
      await send(data, "10.0.1.2");
      await connectionsAreOver();
      within.push(await passed("rough"));
    });
    const after = await passed("rough");
    const fields = ["frame.interface_name", "frame.comment"] as const;
    const { frames, stream } = await readRight(file("rough"), ...fields);
    expect(stream.equals(data)).to.be.true;
    const count = (end: string, fate: string) =>
      frames.filter((one) => one["frame.interface_name"] === end && one["frame.comment"] === fate)
        .length;
    ["a:eth1", "b:eth1"].forEach((end, index) => {
      const drops = (reason: string, [from, to]: readonly (readonly Counted[])[]) =>
        (to?.[index]?.drops[reason] ?? 0) - (from?.[index]?.drops[reason] ?? 0);
      // now and then a guest asks for its neighbour's address just before or after
      for (const [fate, reason] of [
        ["lost", "loss"],
        ["queue full", "queue-full"],
      ] as const) {
        expect(count(end, fate), `${fate} at ${end}`).to.be.within(
          drops(reason, within),
          drops(reason, [before, after]),
        );
      }
    });
    expect(count("a:eth1", "lost")).to.be.greaterThan(0);
    expect(count("a:eth1", "queue full")).to.be.greaterThan(0);
  });

  it("of a link that corrupts call those frames corrupted that are not right", async () => {
    const data = noise(2 * MIB, 3);
    await house.json(0, "link", "set", "rough", "none");
    await house.json(0, "link", "set", "rough", "corrupt=2%");
    await capture(["rough", "-w", file("corrupt")], () => send(data, "10.0.1.2"));
    await house.json(0, "link", "set", "rough", "none");
    const { frames } = await read(file("corrupt"), "", "frame.comment");
    const wrong = frames.filter((frame) => !isRight(frame));
    expect(valuesOf(wrong, "frame.comment")).to.deep.equal(["delivered, corrupted"]);
    // without what its receiver throws away, the stream is whole
    const thrownAway = "ip.checksum.status == 0 or tcp.checksum.status == 0 or _ws.malformed";
    const { stream } = await read(file("corrupt"), thrownAway);
    expect(stream.equals(data)).to.be.true;
  });

  it("of a guest's interface show what it sends and receives, over IPv6 too", async () => {
    const data = noise(MIB, 4);
    await capture(["b:eth2", "-w", file("nic")], () => send(data, "2001:db8::2"));
    const fields = ["frame.interface_name", "frame.packet_flags_direction", "tcp.dstport"] as const;
    const { frames, stream } = await readRight(file("nic"), ...fields);
    expect(stream.equals(data)).to.be.true;
    expect(valuesOf(frames, "frame.interface_name")).to.deep.equal(["b:eth2"]);
    const into = frames.filter((one) => one["tcp.dstport"] === "99");
    expect(valuesOf(into, "frame.packet_flags_direction").map(Number)).to.deep.equal([1]);
  });

  it("of all show a frame on each link it crosses", async () => {
    const { recorded } = await capture(["--all", "-w", file("all")], () =>
      sh("a", "ping -c 3 -i 0.1 10.0.2.2"),
    );
    const fields = ["icmp.type", "icmp.seq", "frame.interface_name"] as const;
    const { frames } = await readRight(file("all"), ...fields);
    expect(frames).to.have.lengthOf(recorded);
    for (const number of ["1", "2", "3"]) {
      const ways = frames.filter((one) => one["icmp.type"] === "8" && one["icmp.seq"] === number);
      expect(ways.map((one) => one["frame.interface_name"])).to.have.members([
        "a:eth2",
        "lan/right",
      ]);
    }
  });

  it("keep what the filter lets through, and as much of a frame as was asked for", async () => {
    const words = ["cable", "-w", file("few"), "--filter", "icmp and dst host 10.0.0.2"];
    const { recorded } = await capture([...words, "--snaplen", "60"], () =>
      sh("a", "ping -c 3 -i 0.1 -s 300 10.0.0.2; traceroute -n 10.0.0.2"),
    );
    const fields = ["frame.len", "frame.cap_len", "ip.dst", "icmp.type"] as const;
    const { frames } = await read(file("few"), "", "_ws.malformed", ...fields);
    expect(recorded).to.equal(3);
    expect(frames).to.have.lengthOf(3);
    for (const one of frames) {
      expect(one).to.include({
        "_ws.malformed": "",
        "frame.len": "342",
        "frame.cap_len": "60",
        "ip.dst": "10.0.0.2",
        "icmp.type": "8",
      });
    }
  });

  it("rotate: each file can be read alone, and together they are all", async () => {
    const folder = file("rotated");
    mkdirSync(folder);
    const rotate = ["--rotate", "300K", "--filter", "tcp"];
    const path = join(folder, "lab.pcapng");
    const { recorded } = await capture(["cable", "-w", path, ...rotate], () =>
      send(noise(MIB, 5), "10.0.0.2"),
    );
    const paths = readdirSync(folder).map((name) => join(folder, name));
    expect(paths.length).to.be.greaterThan(3);
    const seen = await Promise.all(paths.map((one) => readRight(one)));
    for (const one of paths) expect(statSync(one).size).to.be.at.most(300 * 1024);
    expect(seen.flatMap(({ frames }) => frames)).to.have.lengthOf(recorded);
  });

  it("can be read from a pipe while they are written", async () => {
    const child = house.start("capture", "cable", "-w", "-");
    const reader = startTshark("-Y", "icmp.type == 8", "-T", "fields", "-e", "icmp.seq");
    child.stdout?.pipe(reader.stdin as NonNullable<typeof reader.stdin>);
    let seen = "";
    reader.stdout?.on("data", (chunk: Buffer) => {
      seen += chunk;
    });
    const read = outcomeOf(reader);
    const captured = outcomeOf(child);
    await eventually("an echo request on tshark's screen", async () => {
      await sh("a", "ping -c 1 10.0.0.2");
      return seen.includes("\n");
    });
    child.kill("SIGINT");
    expect(await captured).to.include({ status: 0 });
    expect(await read).to.include({ status: 0, stderr: "" });
  });

  it("don't slow the lab when nobody reads: what is missed is counted", async () => {
    const child = house.start("capture", "cable", "-w", "-");
    const ended = new Promise((resolve) => child.once("close", resolve));
    const counters = async () => {
      const { counters: all } = await house.json(0, "status");
      const cable = all.links.find(({ link }: { link: string }) => link === "cable");
      const [one] = all.captures;
      return {
        missed: one?.missed,
        noticed: one === undefined ? undefined : one.recorded + one.missed,
        crossed: cable.directions[0].frames + cable.directions[1].frames,
      };
    };
    await eventually("a capture", async () => (await counters()).noticed !== undefined);
    const before = await counters();
    // several times what is kept for a reader
    const bytes = 64 * MIB;
    const arrived = await house.transfer(
      `head -c ${bytes} /dev/zero`,
      ["a", "b"],
      "10.0.0.2",
      "wc -c",
    );
    expect(Number(arrived)).to.equal(bytes);
    const after = await counters();
    expect(after.missed).to.be.greaterThan(0);
    expect(after.noticed - before.noticed).to.equal(after.crossed - before.crossed);
    // at last somebody reads
    child.stdout?.pipe(createWriteStream(file("slow")));
    child.kill("SIGINT");
    await ended;
    const { frames } = await readRight(file("slow"));
    expect(frames.length).to.be.at.least(after.noticed - after.missed);
  });
});

describe("records from the first frame on, read by tshark", function () {
  this.timeout(300_000);
  let house: House;
  before(async function () {
    if (!(await isTsharkThere())) {
      console.log("      tshark is not installed: nobody looks at records here");
      this.skip();
    }
    house = new House();
  });
  after(async () => {
    await house?.check();
  });

  it("hold all that crossed, and go on beside a capture of a way out", async () => {
    const topology = `guests: { a: { ports: ["${await freePort()}:80"] }, b: }
links:
  - { ends: [a:eth0=10.0.0.1/24, b:eth0=10.0.0.2/24], name: cable }
`;
    const folder = join(house.folder, "files", "records");
    await house.json(0, "up", house.topology("recorded", topology), "--record", folder);
    const outside = join(house.folder, "files", "outside");
    await captureWhile(house, ["a:internet", "-w", outside, "--filter", "arp"], () =>
      house.sh("a", "arping -c 1 -I internet 198.18.0.1"),
    );
    const answers = await readRight(outside, "arp.opcode");
    expect(valuesOf(answers.frames, "arp.opcode")).to.have.members(["1", "2"]);
    const { counters } = await house.json(0, "status");
    const { directions } = counters.links.find(({ link }: { link: string }) => link === "cable");
    await house.json(0, "down");
    const fields = ["frame.interface_name", "arp.opcode", "icmp.type"] as const;
    const { frames } = await readRight(join(folder, "recorded.pcapng"), ...fields);
    ["a:eth0", "b:eth0"].forEach((end, index) => {
      const count = frames.filter((one) => one["frame.interface_name"] === end).length;
      expect(count).to.be.at.least(directions[index].frames);
    });
    // neighbours are found before the first echo request
    expect(valuesOf(frames, "arp.opcode")).to.include.members(["1", "2"]);
    expect(valuesOf(frames, "icmp.type")).to.include.members(["0", "8"]);
  });
});

const valuesOf = (frames: Seen["frames"], field: string): string[] => [
  ...new Set(frames.map((one) => one[field] as string)),
];
