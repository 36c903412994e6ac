import { expect } from "chai";
import { formatIp, formatMac, parseIpv4, parseIpv6 } from "../../../base/addresses.ts";
import { ARP_REPLY, emitArp, parseArp } from "../../../net/wire/arp.ts";
import {
  completeChecksum,
  foldSum,
  pseudoSum4,
  pseudoSum6,
  sumBytes,
} from "../../../net/wire/checksum.ts";
import { emitEthernet, parseEthernet } from "../../../net/wire/ethernet.ts";
import { emitIcmp, neighborTarget, parseIcmp } from "../../../net/wire/icmp.ts";
import { emitIpv4Header, parseIpv4Header } from "../../../net/wire/ipv4.ts";
import { emitIpv6Header, parseIpv6Header, walkExtensions } from "../../../net/wire/ipv6.ts";
import { Layers } from "../../../net/wire/layers.ts";
import { emitTcp, parseTcp, TCP_ACK, TCP_PSH, TCP_SYN } from "../../../net/wire/tcp.ts";
import { emitUdp, parseUdp } from "../../../net/wire/udp.ts";
import { emitOffload, parseOffload } from "../../../net/wire/virtio-net.ts";
import {
  ARP_REPLY_FRAME,
  bytesOf,
  hexOf,
  ICMP4_FRAME,
  NEIGHBOR_ADVERTISEMENT_FRAME,
  SYN_FRAME,
  TCP4_FRAME,
  UDP4_FRAME,
  UDP6_FRAME,
} from "./golden.ts";

describe("the internet checksum", () => {
  it("sums the example of RFC 1071 §3", () => {
    expect(sumBytes(bytesOf("0001f203f4f5f6f7"), 0, 8)).to.equal(0x2ddf0);
    expect(foldSum(0x2ddf0)).to.equal(0x220d);
  });

  it("counts an odd last byte as a high half", () => {
    expect(sumBytes(bytesOf("010203"), 0, 3)).to.equal(0x0102 + 0x0300);
  });

  it("does not overflow with the longest frame", () => {
    expect(sumBytes(new Uint8Array(65_536).fill(0xff), 0, 65_536)).to.equal(32_768 * 0xffff);
    expect(foldSum(32_768 * 0xffff)).to.equal(0);
  });

  it("completes what a guest left to the device", () => {
    const frame = UDP4_FRAME.slice();
    const sum = 0xffff & ~foldSum(pseudoSum4(frame, 14, 17, 13));
    frame[40] = sum >> 8;
    frame[41] = sum;
    expect(completeChecksum(frame, 0, frame.length, 34, 6)).to.be.true;
    expect(hexOf(frame)).to.equal(hexOf(UDP4_FRAME));
  });

  it("refuses places outside of the frame", () => {
    const frame = UDP4_FRAME.slice();
    expect(completeChecksum(frame, 0, frame.length, frame.length - 1, 0)).to.be.false;
    expect(completeChecksum(frame, 0, frame.length, 34, 65_535)).to.be.false;
    expect(completeChecksum(frame, 0, frame.length, 0, 6)).to.be.false;
    expect(hexOf(frame)).to.equal(hexOf(UDP4_FRAME));
  });
});

describe("frames, parsed and emitted again", () => {
  it("ARP", () => {
    const ethernet = parseEthernet(ARP_REPLY_FRAME)!;
    const arp = parseArp(ARP_REPLY_FRAME, ethernet.payload)!;
    expect(arp.operation).to.equal(ARP_REPLY);
    expect(formatMac(arp.senderMac)).to.equal("02:00:00:00:00:02");
    expect(formatIp(arp.senderIp)).to.equal("10.9.0.2");
    const again = new Uint8Array(ARP_REPLY_FRAME.length);
    expect(emitArp(arp, again, emitEthernet(ethernet, again))).to.equal(again.length);
    expect(hexOf(again)).to.equal(hexOf(ARP_REPLY_FRAME));
  });

  it("a VLAN tag", () => {
    const frame = bytesOf("0180c2000000 020000000001 8100 a02a 0800");
    const ethernet = parseEthernet(frame)!;
    expect(ethernet.tag).to.deep.equal({ priority: 5, dropEligible: false, vlan: 42 });
    expect(ethernet.type).to.equal(0x0800);
    const again = new Uint8Array(18);
    expect(emitEthernet(ethernet, again)).to.equal(18);
    expect(hexOf(again)).to.equal(hexOf(frame));
  });

  for (const [name, frame] of [
    ["UDP over IPv4", UDP4_FRAME],
    ["ICMP over IPv4", ICMP4_FRAME],
    ["a SYN with options", SYN_FRAME],
    ["TCP with data", TCP4_FRAME],
  ] as const) {
    it(name, () => {
      const again = new Uint8Array(frame.length);
      const ethernet = parseEthernet(frame)!;
      const ip = parseIpv4Header(frame, ethernet.payload)!;
      expect(ip.checksumOk).to.be.true;
      const at = emitIpv4Header(ip, again, emitEthernet(ethernet, again));
      expect(at).to.equal(ip.payload);
      const pseudo = pseudoSum4(frame, ethernet.payload, ip.protocol, ip.end - ip.payload);
      if (ip.protocol === 17) {
        const udp = parseUdp(frame, at, ip.end, pseudo)!;
        expect(udp.checksumOk).to.be.true;
        expect(udp.toPort).to.equal(5353);
        expect(emitUdp(udp, again, at, pseudo)).to.equal(frame.length);
      } else if (ip.protocol === 1) {
        const icmp = parseIcmp(frame, at, ip.end)!;
        expect([icmp.type, icmp.code, icmp.checksumOk]).to.deep.equal([3, 3, true]);
        expect(emitIcmp(icmp, again, at)).to.equal(frame.length);
      } else {
        const tcp = parseTcp(frame, at, ip.end, pseudo)!;
        expect(tcp.checksumOk).to.be.true;
        expect(tcp.flags).to.equal(frame === SYN_FRAME ? TCP_SYN : TCP_PSH | TCP_ACK);
        expect(Buffer.from(tcp.data).toString()).to.equal(frame === SYN_FRAME ? "" : "hello");
        expect(emitTcp(tcp, again, at, pseudo)).to.equal(frame.length);
      }
      expect(hexOf(again)).to.equal(hexOf(frame));
    });
  }

  for (const [name, frame] of [
    ["UDP over IPv6", UDP6_FRAME],
    ["a neighbour advertisement", NEIGHBOR_ADVERTISEMENT_FRAME],
  ] as const) {
    it(name, () => {
      const again = new Uint8Array(frame.length);
      const ethernet = parseEthernet(frame)!;
      const ip = parseIpv6Header(frame, ethernet.payload)!;
      const at = emitIpv6Header(ip, again, emitEthernet(ethernet, again));
      const pseudo = pseudoSum6(frame, ethernet.payload, ip.nextHeader, ip.payloadLength);
      if (ip.nextHeader === 17) {
        const udp = parseUdp(frame, at, ip.end, pseudo)!;
        expect(udp.checksumOk).to.be.true;
        emitUdp(udp, again, at, pseudo);
      } else {
        const icmp = parseIcmp(frame, at, ip.end, pseudo)!;
        expect([icmp.type, icmp.checksumOk]).to.deep.equal([136, true]);
        expect(formatIp(neighborTarget(frame, at, ip.end)!)).to.equal("2001:db8:9::2");
        emitIcmp(icmp, again, at, pseudo);
      }
      expect(hexOf(again)).to.equal(hexOf(frame));
    });
  }

  it("the header of virtio", () => {
    const header = bytesOf("01 01 4200 a805 2200 1000 0100");
    const offload = parseOffload(header)!;
    expect(offload).to.deep.equal({
      flags: 1,
      gsoType: 1,
      headerBytes: 66,
      gsoSize: 1448,
      checksumStart: 34,
      checksumOffset: 16,
    });
    const again = new Uint8Array(12);
    expect(emitOffload(offload, again)).to.equal(12);
    expect(hexOf(again)).to.equal(hexOf(header));
  });

  it("IPv4 fragments keep flags and offset", () => {
    const value = {
      service: 0,
      totalLength: 40,
      id: 7,
      dontFragment: false,
      moreFragments: true,
      fragmentOffset: 1480,
      ttl: 64,
      protocol: 17,
      from: parseIpv4("10.0.0.1")!,
      to: parseIpv4("10.0.0.2")!,
      options: new Uint8Array(0),
    };
    const bytes = new Uint8Array(40);
    emitIpv4Header(value, bytes);
    expect(parseIpv4Header(bytes)).to.deep.include(value);
  });

  it("none of them survives being cut, none throws", () => {
    const parse = (b: Uint8Array): boolean => {
      const ethernet = parseEthernet(b);
      if (ethernet === undefined) return false;
      const { type, payload } = ethernet;
      if (type === 0x0806) return parseArp(b, payload) !== undefined;
      if (type === 0x0800) return parseIpv4Header(b, payload) !== undefined;
      return parseIpv6Header(b, payload) !== undefined;
    };
    for (const frame of [ARP_REPLY_FRAME, UDP4_FRAME, TCP4_FRAME, UDP6_FRAME]) {
      expect(parse(frame)).to.be.true;
      for (let length = 0; length < frame.length; length++) {
        expect(parse(frame.slice(0, length)), `${length} bytes`).to.be.false;
      }
    }
  });
});

describe("extension headers", () => {
  const walk = { protocol: 0, at: 0, fragmented: false, first: true };
  const packet = (first: number, ...extensions: string[]): Uint8Array => {
    const body = bytesOf(extensions.join(""));
    const bytes = new Uint8Array(40 + body.length);
    emitIpv6Header(
      {
        trafficClass: 0,
        flowLabel: 0,
        payloadLength: body.length,
        nextHeader: first,
        hopLimit: 64,
        from: parseIpv6("fe80::1")!,
        to: parseIpv6("fe80::2")!,
      },
      bytes,
    );
    bytes.set(body, 40);
    return bytes;
  };

  it("are walked to the transport header", () => {
    const bytes = packet(
      0,
      "2b00010400000000",
      "3c02000000000000".padEnd(48, "0"),
      "0600010400000000",
    );
    expect(walkExtensions(bytes, 0, bytes.length, walk)).to.be.true;
    expect(walk).to.deep.equal({
      protocol: 6,
      at: 40 + 8 + 24 + 8,
      fragmented: false,
      first: true,
    });
  });

  it("end at a later fragment, whose payload is no header", () => {
    const bytes = packet(44, "1100 0579 00000001", "0001000200030004");
    expect(walkExtensions(bytes, 0, bytes.length, walk)).to.be.true;
    expect(walk).to.deep.include({ protocol: 17, fragmented: true, first: false });
  });

  it("that point out of the packet, or never end, are refused", () => {
    const long = packet(0, "06ff000000000000");
    expect(walkExtensions(long, 0, long.length, walk)).to.be.false;
    const endless = packet(0, ...Array<string>(100).fill("0000000000000000"));
    expect(walkExtensions(endless, 0, endless.length, walk)).to.be.false;
  });
});

describe("the layers of a frame", () => {
  const layers = new Layers();
  it("are found behind tags", () => {
    const tagged = bytesOf(
      `${hexOf(UDP4_FRAME.slice(0, 12))}88a80007 8100002a${hexOf(UDP4_FRAME.slice(12))}`,
    );
    expect(layers.find(tagged, 0, tagged.length)).to.be.true;
    expect(layers).to.deep.include({
      vlan: 42,
      family: 4,
      protocol: 17,
      network: 22,
      transport: 42,
    });
  });

  it("leave padding out", () => {
    const padded = new Uint8Array(60);
    padded.set(UDP4_FRAME);
    layers.find(padded, 0, 60);
    expect(layers).to.deep.include({ end: 60, networkEnd: 47 });
  });

  it("are none in nonsense", () => {
    const nonsense = UDP4_FRAME.slice();
    nonsense[14] = 0x41;
    expect(layers.find(nonsense, 0, nonsense.length)).to.be.true;
    expect(layers).to.deep.include({ family: 0, protocol: -1, transport: -1 });
    expect(layers.find(nonsense, 0, 13)).to.be.false;
  });
});
