import { expect } from "chai";
import { compileFilter, FilterError } from "../../../net/capture/filter.ts";
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
} from "../wire/golden.ts";

const TAGGED = bytesOf(`${hexOf(TCP4_FRAME.slice(0, 12))}8100002a${hexOf(TCP4_FRAME.slice(12))}`);
const BROADCAST = bytesOf(`ffffffffffff 020000000001 88b5 0000`);

const FRAMES = {
  arp: ARP_REPLY_FRAME,
  udp4: UDP4_FRAME,
  icmp4: ICMP4_FRAME,
  na: NEIGHBOR_ADVERTISEMENT_FRAME,
  udp6: UDP6_FRAME,
  syn: SYN_FRAME,
  tcp4: TCP4_FRAME,
  tagged: TAGGED,
  broadcast: BROADCAST,
};

const ALL = Object.keys(FRAMES).join(" ");

/** What each filter keeps, worked out by hand. */
const KEPT: readonly (readonly [filter: string, names: string])[] = [
  ["", ALL],
  ["arp", "arp"],
  ["ip", "udp4 icmp4 syn tcp4 tagged"],
  ["ip6", "na udp6"],
  ["icmp", "icmp4"],
  ["icmp6", "na"],
  ["tcp", "syn tcp4 tagged"],
  ["udp", "udp4 udp6"],
  ["TCP", "syn tcp4 tagged"],
  ["not ip and not ip6", "arp broadcast"],
  ["! (ip || ip6)", "arp broadcast"],
  ["arp or icmp6", "arp na"],
  ["host 10.9.0.1", "arp udp4 icmp4 syn tcp4 tagged"],
  ["10.9.0.1", "arp udp4 icmp4 syn tcp4 tagged"],
  ["src host 10.9.0.1", "udp4 syn tcp4 tagged"],
  ["src 10.9.0.1", "udp4 syn tcp4 tagged"],
  ["dst 10.9.0.1", "arp icmp4"],
  ["src or dst host 10.9.0.2", "arp udp4 icmp4 syn tcp4 tagged"],
  ["src and dst net 10.9.0.0/30", "arp udp4 icmp4 syn tcp4 tagged"],
  ["src and dst host 10.9.0.1", ""],
  ["arp host 10.9.0.1", "arp"],
  ["ip host 10.9.0.1", "udp4 icmp4 syn tcp4 tagged"],
  ["net 10.0.0.0/8", "arp udp4 icmp4 syn tcp4 tagged"],
  ["net 0.0.0.0/0", "arp udp4 icmp4 syn tcp4 tagged"],
  ["net 10.9.1.0/24", ""],
  ["net 2001:db8::/32", "na udp6"],
  ["dst host 2001:db8:9::2", "udp6"],
  ["port 5353", "udp4 udp6"],
  ["tcp port 80", "syn tcp4 tagged"],
  ["udp port 80", ""],
  ["tcp src port 80", ""],
  ["dst port 80", "syn tcp4 tagged"],
  ["port 5353 or 80", "udp4 udp6 syn tcp4 tagged"],
  ["portrange 79-81", "syn tcp4 tagged"],
  ["udp portrange 5000-6000", "udp4 udp6"],
  ["proto 6", "syn tcp4 tagged"],
  ["ip proto udp", "udp4"],
  ["ip6 proto 17", "udp6"],
  ["ether proto 0x0806", "arp"],
  ["vlan", "tagged"],
  ["vlan 42", "tagged"],
  ["vlan 43", ""],
  ["vlan 42 and tcp port 80", "tagged"],
  ["broadcast", "broadcast"],
  ["ether broadcast", "broadcast"],
  ["multicast", "broadcast"],
  ["ether src host 02:00:00:00:00:01", "udp4 udp6 syn tcp4 tagged broadcast"],
  ["ether host 02:00:00:00:00:02", ALL.replace(" broadcast", "")],
  ["greater 74", "icmp4 na syn tagged"],
  ["less 47", "arp udp4 broadcast"],
  // as in pcap-filter(7), `and` and `or` bind alike, from the left
  ["arp or tcp and port 80", "syn tcp4 tagged"],
  ["arp or (tcp and port 80)", "arp syn tcp4 tagged"],
];

describe("filters of a capture", () => {
  for (const [filter, names] of KEPT) {
    it(`${filter || "nothing"} keeps ${names || "none"}`, () => {
      const keeps = compileFilter(filter);
      const kept = Object.entries(FRAMES).filter(([, frame]) => keeps(frame, 0, frame.length));
      expect(kept.map(([name]) => name).join(" ")).to.equal(names);
    });
  }

  for (const [filter, at] of [
    ["tpc", 0],
    ["tcp port", 8],
    ["tcp port x", 9],
    ["port 70000", 5],
    ["port 80-90", 5],
    ["portrange 90-80", 10],
    ["icmp port 80", 10],
    ["host 10.0.0", 5],
    ["host 10.0.0.0/8", 5],
    ["net 10.0.0.0/33", 4],
    ["ether host 10.0.0.1", 11],
    ["(tcp", 4],
    ["tcp)", 3],
    ["tcp udp", 4],
    ["tcp and", 7],
    ["not", 3],
    ["vlan 5000", 5],
    ["tcp & udp", 4],
    ["(".repeat(200), 100],
  ] as const) {
    it(`${filter.slice(0, 20)} is none`, () => {
      expect(() => compileFilter(filter))
        .to.throw(FilterError)
        .with.property("at", at);
    });
  }

  it("never reads beyond a frame that was cut", () => {
    for (const [filter] of KEPT) {
      const keeps = compileFilter(filter);
      for (const frame of Object.values(FRAMES)) {
        for (let length = 0; length < frame.length; length++) {
          // what stands behind the cut must not matter
          const [zeros, ones] = [0, 0xff].map((fill) => {
            const cut = new Uint8Array(frame.length).fill(fill);
            cut.set(frame.subarray(0, length));
            return keeps(cut, 0, length);
          });
          expect(zeros, `${filter} at ${length}`).to.equal(ones);
        }
      }
    }
  });
});
