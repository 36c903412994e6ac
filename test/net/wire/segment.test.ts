import { expect } from "chai";
import { parseIpv4, parseIpv6 } from "../../../base/addresses.ts";
import { Random } from "../../../base/random.ts";
import { pseudoSum4, pseudoSum6 } from "../../../net/wire/checksum.ts";
import { emitIpv4Header, parseIpv4Header } from "../../../net/wire/ipv4.ts";
import { emitIpv6Header, IPV6_PAYLOAD_LENGTH, parseIpv6Header } from "../../../net/wire/ipv6.ts";
import { Layers } from "../../../net/wire/layers.ts";
import { Segmenter } from "../../../net/wire/segment.ts";
import {
  emitTcp,
  parseTcp,
  TCP_ACK,
  TCP_CWR,
  TCP_FIN,
  TCP_PSH,
  type Tcp,
} from "../../../net/wire/tcp.ts";
import { emitUdp, parseUdp } from "../../../net/wire/udp.ts";
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP,
  GSO_UDP_L4,
  NET_NEEDS_CHECKSUM,
  type Offload,
} from "../../../net/wire/virtio-net.ts";
import { hexOf, UDP4_FRAME } from "./golden.ts";

const random = new Random(1, "payload");
const payload = Uint8Array.from({ length: 5000 }, () => random.below(256));

interface Made {
  readonly frame: Uint8Array;
  readonly offload: Offload;
}

/** A GSO frame as a driver gives it to us, checksums partial or wrong. */
function make(
  family: 4 | 6,
  protocol: 6 | 17,
  gsoSize: number,
  { tag = false, extensions = new Uint8Array(0), data = payload } = {},
): Made {
  const frame = new Uint8Array(data.length + 200);
  frame.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], 0);
  let at = 12;
  if (tag) {
    frame.set([0x81, 0, 0, 42], at);
    at += 4;
  }
  frame.set(family === 4 ? [8, 0] : [0x86, 0xdd], at);
  const ip = at + 2;
  if (family === 4) {
    at = emitIpv4Header(
      {
        service: 0,
        totalLength: 0,
        id: 0xfffe,
        dontFragment: true,
        moreFragments: false,
        fragmentOffset: 0,
        ttl: 64,
        protocol,
        from: parseIpv4("10.0.0.1")!,
        to: parseIpv4("10.0.0.2")!,
        options: new Uint8Array(4),
      },
      frame,
      ip,
    );
  } else {
    at = emitIpv6Header(
      {
        trafficClass: 0,
        flowLabel: 5,
        payloadLength: 0,
        nextHeader: extensions.length === 0 ? protocol : 60,
        hopLimit: 64,
        from: parseIpv6("fe80::1")!,
        to: parseIpv6("fe80::2")!,
      },
      frame,
      ip,
    );
    frame.set(extensions, at);
    at += extensions.length;
  }
  const transport = at;
  if (protocol === 6) {
    at = emitTcp(
      {
        fromPort: 1000,
        toPort: 2000,
        sequence: 0xffff_ff00,
        acknowledgement: 9,
        flags: TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR,
        window: 500,
        urgent: 0,
        options: Uint8Array.from([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]),
        data,
      },
      frame,
      at,
      0,
    );
  } else {
    at = emitUdp({ fromPort: 1000, toPort: 2000, data }, frame, at, 0);
  }
  if (family === 4) {
    frame[ip + 2] = (at - ip) >> 8;
    frame[ip + 3] = at - ip;
  } else {
    frame[ip + IPV6_PAYLOAD_LENGTH] = (at - ip - 40) >> 8;
    frame[ip + IPV6_PAYLOAD_LENGTH + 1] = at - ip - 40;
  }
  return {
    frame: frame.slice(0, at),
    offload: {
      flags: NET_NEEDS_CHECKSUM,
      gsoType: protocol === 17 ? GSO_UDP_L4 : family === 4 ? GSO_TCPV4 | GSO_ECN : GSO_TCPV6,
      headerBytes: at - data.length,
      gsoSize,
      checksumStart: transport,
      checksumOffset: protocol === 17 ? 6 : 16,
    },
  };
}

function cut({ frame, offload }: Made): Uint8Array[] {
  const segmenter = new Segmenter();
  expect(segmenter.begin(frame, 0, frame.length, offload)).to.be.true;
  const into = new Uint8Array(66_000);
  const segments: Uint8Array[] = [];
  for (;;) {
    const expected = segmenter.nextBytes;
    const bytes = segmenter.next(into, 100);
    expect(bytes).to.equal(expected);
    if (bytes === 0) break;
    segments.push(into.slice(100, 100 + bytes));
  }
  expect(segments).to.have.length(segmenter.count);
  expect(Math.max(...segments.map((segment) => segment.length))).to.equal(segmenter.longest);
  return segments;
}

/** Parses a segment with everything checked. */
function parse(segment: Uint8Array) {
  const layers = new Layers();
  expect(layers.find(segment, 0, segment.length)).to.be.true;
  expect(layers.networkEnd).to.equal(segment.length);
  const length = layers.networkEnd - layers.transport;
  const { network, transport, protocol } = layers;
  let id = -1;
  if (layers.family === 4) {
    const ip = parseIpv4Header(segment, network)!;
    expect(ip.checksumOk).to.be.true;
    id = ip.id;
  } else {
    expect(parseIpv6Header(segment, network)).to.not.be.undefined;
  }
  const pseudo =
    layers.family === 4
      ? pseudoSum4(segment, network, protocol, length)
      : pseudoSum6(segment, network, protocol, length);
  const inner =
    protocol === 6
      ? parseTcp(segment, transport, segment.length, pseudo)!
      : parseUdp(segment, transport, segment.length, pseudo)!;
  expect(inner.checksumOk).to.be.true;
  return { id, inner };
}

const joined = (parts: Uint8Array[]) => Buffer.concat(parts).toString("hex");

describe("segmentation", () => {
  it("cuts TCP over IPv4 as a network card does", () => {
    const segments = cut(make(4, 6, 1448)).map(parse);
    expect(segments.map(({ id }) => id)).to.deep.equal([0xfffe, 0xffff, 0, 1]);
    const tcp = segments.map(({ inner }) => inner as unknown as Tcp);
    expect(tcp.map(({ data }) => data.length)).to.deep.equal([1448, 1448, 1448, 656]);
    expect(tcp.map(({ sequence }) => sequence)).to.deep.equal([0xffff_ff00, 1192, 2640, 4088]);
    expect(tcp.map(({ flags }) => flags)).to.deep.equal([
      TCP_ACK | TCP_CWR,
      TCP_ACK,
      TCP_ACK,
      TCP_ACK | TCP_PSH | TCP_FIN,
    ]);
    expect(joined(tcp.map(({ data }) => data))).to.equal(hexOf(payload));
  });

  for (const [name, made] of [
    ["TCP over IPv6", make(6, 6, 1428)],
    ["TCP over IPv4 in a VLAN", make(4, 6, 1000, { tag: true })],
    [
      "TCP over IPv6 behind an extension header",
      make(6, 6, 1000, { extensions: Uint8Array.from([6, 0, 1, 4, 0, 0, 0, 0]) }),
    ],
    ["UDP over IPv4", make(4, 17, 1000)],
    ["UDP over IPv6 in a VLAN", make(6, 17, 1234, { tag: true })],
    ["a frame that is no longer than one segment", make(4, 6, 9000)],
  ] as const) {
    it(`cuts ${name}`, () => {
      const data = cut(made).map((segment) => parse(segment).inner.data);
      expect(joined(data)).to.equal(hexOf(payload));
      expect(data).to.have.length(Math.ceil(payload.length / made.offload.gsoSize));
    });
  }

  it("cuts within one buffer, as in an arena", () => {
    const { frame, offload } = make(4, 6, 1448);
    const arena = new Uint8Array(20_000);
    arena.set(frame, 64);
    const segmenter = new Segmenter();
    segmenter.begin(arena, 64, frame.length, offload);
    const bytes = segmenter.next(arena, 10_000);
    expect(hexOf(arena.slice(10_000, 10_000 + bytes))).to.equal(hexOf(cut({ frame, offload })[0]!));
  });

  it("skips a segment as if it had been sent", () => {
    const { frame, offload } = make(4, 6, 1448);
    const segmenter = new Segmenter();
    segmenter.begin(frame, 0, frame.length, offload);
    segmenter.skip();
    const into = new Uint8Array(2000);
    const bytes = segmenter.next(into, 0);
    expect(hexOf(into.slice(0, bytes))).to.equal(hexOf(cut({ frame, offload })[1]!));
  });

  it("lets a whole frame pass, and completes its checksum", () => {
    const plain = { flags: 0, gsoType: GSO_NONE, headerBytes: 0, gsoSize: 0 };
    const none = { ...plain, checksumStart: 0, checksumOffset: 0 };
    expect(cut({ frame: UDP4_FRAME, offload: none }).map(hexOf)).to.deep.equal([hexOf(UDP4_FRAME)]);
    const frame = UDP4_FRAME.slice();
    const partial = pseudoSum4(frame, 14, 17, 13);
    frame.set([(partial >> 8) + (partial >> 16), partial], 40);
    const folded = (partial & 0xffff) + (partial >>> 16);
    frame.set([folded >> 8, folded], 40);
    const offload = { ...plain, flags: NET_NEEDS_CHECKSUM, checksumStart: 34, checksumOffset: 6 };
    expect(cut({ frame, offload }).map(hexOf)).to.deep.equal([hexOf(UDP4_FRAME)]);
  });

  describe("refuses", () => {
    const good = make(4, 6, 1448);
    const refused = (change: Partial<Offload>, frame = good.frame) =>
      new Segmenter().begin(frame, 0, frame.length, { ...good.offload, ...change });
    const changed = (at: number, value: number) => {
      const frame = good.frame.slice();
      frame[at] = value;
      return frame;
    };

    it("no good frame", () => expect(refused({})).to.be.true);
    for (const [name, change] of [
      ["a gso_size of 0", { gsoSize: 0 }],
      ["a hdr_len beyond the frame", { headerBytes: 6000 }],
      ["a hdr_len of 0", { headerBytes: 0 }],
      ["a csum_start beyond the frame", { checksumStart: 65_000 }],
      ["a csum_offset beyond the frame", { checksumOffset: 65_000 }],
      ["a csum_start elsewhere", { checksumStart: 34 }],
      ["a csum_start in the Ethernet header", { checksumStart: 2 }],
      ["another family", { gsoType: GSO_TCPV6 }],
      ["another protocol", { gsoType: GSO_UDP_L4 }],
      ["fragmentation offload", { gsoType: GSO_UDP }],
      ["an unknown type", { gsoType: 7 }],
    ] as const) {
      it(name, () => expect(refused(change)).to.be.false);
    }
    it("thousands of tiny segments", () => {
      const { frame, offload } = make(4, 6, 1, { data: new Uint8Array(8193) });
      expect(new Segmenter().begin(frame, 0, frame.length, offload)).to.be.false;
    });
    it("a TCP header beyond the packet", () => {
      const short = make(4, 6, 100, { data: new Uint8Array(4) });
      short.frame[38 + 12] = 0xf0;
      expect(new Segmenter().begin(short.frame, 0, short.frame.length, short.offload)).to.be.false;
    });
    it("a TCP header too short", () => expect(refused({}, changed(38 + 12, 0x40))).to.be.false);
    it("an IP packet longer than the frame", () => {
      expect(refused({}, changed(16, 0xff))).to.be.false;
    });
    it("a fragment", () => expect(refused({}, changed(20, 0x20))).to.be.false);
    it("what is no IP", () => expect(refused({}, changed(12, 0x12))).to.be.false);
    it("less than an Ethernet header", () => {
      expect(refused({}, good.frame.slice(0, 13))).to.be.false;
    });
  });

  it("neither throws nor writes out of bounds, whatever the headers say", () => {
    const chance = new Random(7, "hostile");
    const into = new Uint8Array(12_000);
    const segmenter = new Segmenter();
    let accepted = 0;
    for (let i = 0; i < 20_000; i++) {
      const { frame, offload } = MADE[i % MADE.length]!;
      const hostile = frame.slice();
      for (let j = chance.below(4); j > 0; j--) hostile[chance.below(90)] = chance.below(256);
      const twisted = { ...offload };
      const keys = Object.keys(twisted) as (keyof Offload)[];
      if (chance.below(2) === 0) {
        Object.assign(twisted, { [keys[chance.below(keys.length)]!]: chance.below(65_536) });
      }
      if (!segmenter.begin(hostile, 0, hostile.length, twisted)) continue;
      accepted++;
      expect(segmenter.longest).to.be.at.most(frame.length);
      into.fill(0xee, segmenter.longest);
      let total = 0;
      for (let bytes = segmenter.next(into, 0); bytes > 0; bytes = segmenter.next(into, 0)) total++;
      expect(total).to.equal(segmenter.count);
      expect(into[segmenter.longest]).to.equal(0xee);
    }
    expect(accepted).to.be.within(2000, 19_000);
  });
});

const MADE = [
  make(4, 6, 1448),
  make(6, 6, 1428),
  make(4, 17, 1000),
  make(6, 17, 900, { tag: true }),
];
