import { expect } from "chai";
import { Random } from "../../base/random.ts";
import { Arena } from "../../net/arena.ts";
import type { LinkEnd } from "../../net/control/messages.ts";
import { Frame } from "../../net/frame.ts";
import { LinkDirection, type Sink } from "../../net/link.ts";
import { StormGuard } from "../../net/storm-guard.ts";
import { Switch, type SwitchPort } from "../../net/switch.ts";
import { Retagger } from "../../net/vlan.ts";
import {
  type Ethernet,
  emitEthernet,
  ethernetBytes,
  parseEthernet,
} from "../../net/wire/ethernet.ts";
import { NET_HEADER_BYTES } from "../../net/wire/virtio-net.ts";

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const A = "02:00:00:00:00:0a";
const B = "02:00:00:00:00:0b";

const mac = (text: string) => Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));

/** A switch or several, with a frame to send into them and what came out of each port. */
class Bench {
  readonly clock = { nowMs: 0, nowNs: 0 };
  readonly storms = new StormGuard(this.clock);
  readonly retagger = new Retagger();
  readonly arena = new Arena(1 << 20);
  readonly frame = new Frame(this.arena);
  readonly out: string[] = [];
  /** Whether what comes out is only told by its port. */
  terse = false;

  switch(spec: { hub?: boolean; ageingMs?: number } = {}): Switch {
    return new Switch({ switch: "s", hub: false, ageingMs: 300_000, ...spec }, this);
  }

  /** A port that notes what leaves by it: `name tag payload`. */
  port(of: Switch, name: string, end: Omit<LinkEnd & { kind: "switch" }, "kind" | "switch"> = {}) {
    const sink: Sink = {
      send: (frame) => {
        this.out.push(this.terse ? name : `${name} ${this.read(frame)}`);
        return true;
      },
    };
    return of.plug(name, sink, end);
  }

  read(frame: Frame): string {
    const { chain } = frame;
    const bytes = Buffer.concat(
      Array.from({ length: chain.count }, (_, i) => {
        const from = chain.offsets[i]!;
        return this.arena.u8.slice(from, from + chain.lengths[i]!);
      }),
    ).subarray(NET_HEADER_BYTES);
    expect(bytes.length).to.equal(frame.bytes);
    expect(chain.bytes).to.equal(frame.bytes + NET_HEADER_BYTES);
    const parsed = parseEthernet(bytes);
    if (parsed === undefined) throw new Error("no frame");
    expect(frame.etherType).to.equal(parsed.tag === undefined ? parsed.type : 0x8100);
    const { tag } = parsed;
    const text = tag === undefined ? "-" : `${tag.vlan}${tag.priority ? `p${tag.priority}` : ""}`;
    return `${text} ${bytes.subarray(parsed.payload).toString()}`;
  }

  /** Sends a frame in at a port, its bytes cut into buffers of these lengths. */
  send(
    into: Sink,
    {
      from = A,
      to = BROADCAST,
      tag,
      payload = "hello",
      cut = [NET_HEADER_BYTES],
    }: {
      from?: string;
      to?: string;
      tag?: Partial<NonNullable<Ethernet["tag"]>>;
      payload?: string;
      cut?: readonly number[];
    } = {},
  ): string[] {
    const header: Ethernet = {
      to: mac(to),
      from: mac(from),
      type: 0x88b5,
      ...(tag === undefined ? {} : { tag: { priority: 0, dropEligible: false, vlan: 0, ...tag } }),
    };
    const total = NET_HEADER_BYTES + ethernetBytes(header) + payload.length;
    const at = 8192;
    this.arena.u8.fill(0, at, at + NET_HEADER_BYTES);
    const end = emitEthernet(header, this.arena.u8, at + NET_HEADER_BYTES);
    this.arena.u8.set(Buffer.from(payload), end);
    const { chain } = this.frame;
    chain.count = 0;
    chain.bytes = total;
    for (let done = 0; done < total; ) {
      const length = Math.min(cut[chain.count] ?? total, total - done);
      chain.offsets[chain.count] = at + done;
      chain.lengths[chain.count] = length;
      chain.count++;
      done += length;
    }
    expect(this.frame.parse(this.arena)).to.equal(true);
    this.out.length = 0;
    into.send(this.frame);
    return [...this.out];
  }
}

const dropsOf = (of: Switch, link: string) =>
  of.counters().ports.find((port) => port.link === link)?.drops;

describe("a switch", () => {
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });
  afterEach(() => bench.arena.unmap());

  it("floods what it does not know, learns, and sends to one port what it knows", () => {
    const sw = bench.switch();
    const [a, b] = ["a", "b", "c"].map((name) => bench.port(sw, name)) as [SwitchPort, SwitchPort];
    expect(bench.send(a, { from: A, to: B })).to.deep.equal(["b - hello", "c - hello"]);
    expect(bench.send(b, { from: B, to: A })).to.deep.equal(["a - hello"]);
    expect(bench.send(a, { from: A, to: B })).to.deep.equal(["b - hello"]);
    expect(bench.send(a, { from: A, to: A })).to.deep.equal([]);
    expect(sw.counters().flooded).to.equal(1);
    expect(sw.addresses().map((one) => `${one.mac} ${one.link}`)).to.have.members([
      `${A} a`,
      `${B} b`,
    ]);
  });

  it("forgets an address that was not seen for the ageing time, and follows one that moves", () => {
    const sw = bench.switch({ ageingMs: 1000 });
    const [a, b, c] = ["a", "b", "c"].map((name) => bench.port(sw, name)) as SwitchPort[];
    bench.send(b!, { from: B });
    bench.clock.nowMs = 1000;
    expect(bench.send(a!, { to: B })).to.deep.equal(["b - hello"]);
    bench.clock.nowMs = 1001;
    expect(bench.send(a!, { to: B })).to.deep.equal(["b - hello", "c - hello"]);
    bench.send(c!, { from: B });
    expect(bench.send(a!, { to: B })).to.deep.equal(["c - hello"]);
  });

  it("forgets what was behind a cable that is taken away", () => {
    const sw = bench.switch();
    const [a, b] = ["a", "b", "c"].map((name) => bench.port(sw, name)) as [SwitchPort, SwitchPort];
    bench.send(b, { from: B });
    sw.unplug(b);
    expect(bench.send(a, { to: B })).to.deep.equal(["c - hello"]);
  });

  it("keeps 802.1D group addresses to the link; a hub repeats them", () => {
    for (const hub of [false, true]) {
      const sw = bench.switch({ hub });
      const a = bench.port(sw, "a");
      bench.port(sw, "b");
      for (const to of ["01:80:c2:00:00:00", "01:80:c2:00:00:0e"]) {
        expect(bench.send(a, { to })).to.deep.equal(hub ? ["b - hello"] : []);
      }
      expect(dropsOf(sw, "a")).to.deep.equal(hub ? {} : { "reserved-group": 2 });
      expect(bench.send(a, { to: "01:80:c2:00:00:10" })).to.deep.equal(["b - hello"]);
    }
  });

  it("survives a flood of addresses: bounded, and others are still reached", () => {
    const sw = bench.switch();
    const [a, b, evil] = ["a", "b", "evil"].map((name) => bench.port(sw, name)) as SwitchPort[];
    const random = new Random(1, "flood");
    const byte = () => random.below(256).toString(16).padStart(2, "0");
    bench.terse = true;
    for (let i = 0; i < 20_000; i++) {
      bench.send(evil!, { from: `02:${byte()}:${byte()}:${byte()}:${byte()}:${byte()}`, to: A });
    }
    bench.terse = false;
    expect(sw.addresses().length).to.be.at.most(8192).and.greaterThan(8000);
    bench.send(a!, { from: A });
    expect(bench.send(b!, { to: A, from: B })).to.deep.equal(["a - hello"]);
  });

  describe("with VLANs", () => {
    it("keeps access ports of different VLANs apart, and learns in each VLAN for itself", () => {
      const sw = bench.switch();
      const a = bench.port(sw, "a10", { vlan: 10 });
      const b = bench.port(sw, "b10", { vlan: 10 });
      const c = bench.port(sw, "c20", { vlan: 20 });
      bench.port(sw, "d20", { vlan: 20 });
      expect(bench.send(a)).to.deep.equal(["b10 - hello"]);
      expect(bench.send(c)).to.deep.equal(["d20 - hello"]);
      // the same address is in both VLANs
      expect(bench.send(b, { from: B, to: A })).to.deep.equal(["a10 - hello"]);
      expect(sw.addresses().map(({ mac, vlan }) => `${mac} ${vlan}`)).to.have.members([
        `${A} 10`,
        `${A} 20`,
        `${B} 10`,
      ]);
    });

    it("puts the tag in on a trunk and takes it out on an access port, whatever the buffers", () => {
      for (const cut of [[12], [26], [28], [5, 9, 3, 1, 1, 8], [14, 2, 9, 1, 1, 1, 1]]) {
        const sw = bench.switch();
        const a = bench.port(sw, "a10", { vlan: 10 });
        const t = bench.port(sw, "t", { trunk: [10, 20] });
        bench.port(sw, "c20", { vlan: 20 });
        expect(bench.send(a, { cut })).to.deep.equal(["t 10 hello"]);
        expect(bench.send(t, { cut, from: B, tag: { vlan: 20, priority: 5 } })).to.deep.equal([
          "c20 - hello",
        ]);
        expect(bench.send(t, { cut, from: B, to: A, tag: { vlan: 10 } })).to.deep.equal([
          "a10 - hello",
        ]);
      }
    });

    it("passes a trunk's frame on to a trunk as it is, priority and all", () => {
      const sw = bench.switch();
      const t = bench.port(sw, "t", { trunk: [10] });
      bench.port(sw, "u", { trunk: [10] });
      bench.port(sw, "v", { trunk: [20] });
      expect(bench.send(t, { tag: { vlan: 10, priority: 3 } })).to.deep.equal(["u 10p3 hello"]);
    });

    it("sends the native VLAN of a trunk untagged, and takes what is untagged for it", () => {
      const sw = bench.switch();
      const t = bench.port(sw, "t", { vlan: 1, trunk: [10] });
      bench.port(sw, "u", { vlan: 1, trunk: [10] });
      bench.port(sw, "v", { vlan: 10, trunk: [1] });
      expect(bench.send(t)).to.deep.equal(["u - hello", "v 1 hello"]);
      expect(bench.send(t, { tag: { vlan: 10 } })).to.deep.equal(["u 10 hello", "v - hello"]);
      // a tag of VLAN 0 is a priority only
      expect(bench.send(t, { tag: { vlan: 0, priority: 7 } })).to.deep.equal([
        "u - hello",
        "v 1p7 hello",
      ]);
    });

    it("drops and counts what its port does not carry", () => {
      const sw = bench.switch();
      const a = bench.port(sw, "a", { vlan: 10 });
      const t = bench.port(sw, "t", { trunk: [10, 20] });
      bench.port(sw, "b");
      expect(bench.send(a, { tag: { vlan: 20 } })).to.deep.equal([]);
      expect(bench.send(a, { tag: { vlan: 4095 } })).to.deep.equal([]);
      expect(bench.send(t, { tag: { vlan: 30 } })).to.deep.equal([]);
      expect(bench.send(t)).to.deep.equal([]);
      expect(bench.send(a, { tag: { vlan: 20 }, payload: "", cut: [12, 14, 1] })).to.deep.equal([]);
      expect(dropsOf(sw, "a")).to.deep.equal({ vlan: 3 });
      expect(dropsOf(sw, "t")).to.deep.equal({ vlan: 2 });
    });

    it("lets tags through as they are where no port speaks of VLANs", () => {
      const sw = bench.switch();
      const a = bench.port(sw, "a");
      bench.port(sw, "b");
      expect(bench.send(a, { tag: { vlan: 7 } })).to.deep.equal(["b 7 hello"]);
    });

    it("moves offloads with the tag: checksum's place and the length of the headers", () => {
      const sw = bench.switch();
      const seen: number[][] = [];
      const note: Sink = {
        send: ({ checksumStart, headerBytes, wireFrames, gsoSize }) => {
          seen.push([checksumStart, headerBytes, wireFrames, gsoSize]);
          return true;
        },
      };
      const a = bench.port(sw, "a", { vlan: 10 });
      sw.plug("t", note, { trunk: [10] });
      bench.send(a, { payload: "x".repeat(4000) });
      Object.assign(bench.frame, { flags: 1, gsoType: 1, headerBytes: 54, gsoSize: 1448 });
      Object.assign(bench.frame, { checksumStart: 34, checksumOffset: 16 });
      seen.length = 0;
      a.send(bench.frame);
      expect(seen).to.deep.equal([[38, 58, 3, 1448]]);
      // nonsense is dropped: its checksum would stand in the addresses
      const t = sw.plug("t2", note, { trunk: [10] });
      bench.send(t, { tag: { vlan: 10 } });
      Object.assign(bench.frame, { flags: 1, checksumStart: 12 });
      seen.length = 0;
      bench.port(sw, "b", { vlan: 10 });
      expect(t.send(bench.frame)).to.equal(true);
      expect(dropsOf(sw, "t2")).to.deep.equal({ malformed: 1 });
    });
  });

  it("ends a storm in loops of switches, and counts what it dropped", () => {
    bench.terse = true;
    const switches = Array.from({ length: 6 }, () => bench.switch());
    const directions: LinkDirection[] = [];
    const connect = (from: Switch, to: Switch, name: string) => {
      const one = new LinkDirection({ send: () => true }, true, bench.clock, () => {
        throw new Error("no bench");
      });
      const other = new LinkDirection({ send: () => true }, true, bench.clock, () => {
        throw new Error("no bench");
      });
      other.leadTo(from.plug(name, one));
      one.leadTo(to.plug(name, other));
      directions.push(one, other);
    };
    switches.forEach((from, i) => {
      for (let j = i + 1; j < switches.length; j++) connect(from, switches[j]!, `${i}-${j}`);
    });
    const guest = new LinkDirection(bench.port(switches[0]!, "guest"), true, bench.clock, () => {
      throw new Error("no bench");
    });
    bench.send(guest);
    const sum = (of: (one: Switch) => number) => switches.reduce((all, one) => all + of(one), 0);
    const storms = sum((one) =>
      one.counters().ports.reduce((all, { drops }) => all + (drops.storm ?? 0), 0),
    );
    expect(storms).to.be.greaterThan(0);
    // five copies of the first switch, and what the guard admits after a pause
    expect(directions.reduce((all, one) => all + one.counters.frames, 0)).to.be.at.most(4101);
    // what a guest sends is never in its way
    expect(bench.send(guest).length).to.equal(0);
    bench.clock.nowMs = 100;
    const alone = bench.switch();
    const a = bench.port(alone, "a");
    bench.port(alone, "b");
    bench.send(a);
    for (let i = 0; i < 10_000; i++) a.send(bench.frame);
    expect(bench.out).to.have.lengthOf(10_001);
  });
});
