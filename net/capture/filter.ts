/**
 * Which frames a capture keeps: the commonest part of pcap-filter(7), compiled to a predicate on
 * frames in one piece. As there, `and` and `or` bind alike and group from the left, and a bare value
 * repeats the words before it (`port 80 or 443`). Unlike there, VLAN tags are looked through.
 *
 *     expression := term { ("and" | "&&" | "or" | "||") term }
 *     term       := ("not" | "!") term | "(" expression ")" | test
 *     test       := ip | ip6 | arp | icmp | icmp6 | igmp | tcp | udp | broadcast | multicast
 *                 | vlan [N] | less N | greater N | proto N | ether proto N
 *                 | [ether] [way] host MAC | [ip|ip6|arp] [way] [host] ADDRESS
 *                 | [ip|ip6] [way] net PREFIX | [tcp|udp] [way] port N | … portrange N-M
 *     way        := src | dst | src or dst | src and dst
 */

import { type Family, parseIp, parseMac } from "../../base/addresses.ts";
import { ARP_BYTES, ARP_SENDER_IP, ARP_TARGET_IP } from "../wire/arp.ts";
import { readU16, writeBig } from "../wire/bytes.ts";
import {
  ETHERNET_FROM,
  ETHERNET_TO,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
} from "../wire/ethernet.ts";
import {
  IPV4_FROM,
  IPV4_TO,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_IGMP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from "../wire/ipv4.ts";
import { IPV6_FROM, IPV6_TO } from "../wire/ipv6.ts";
import { Layers } from "../wire/layers.ts";

/** Whether the `length` bytes at `at` are kept. */
export type FrameFilter = (bytes: Uint8Array, at: number, length: number) => boolean;
type Test = (frame: Layers) => boolean;
type Way = "src" | "dst" | "either" | "both";

/** What is wrong with a filter, and where in its text (from 0). */
export class FilterError extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: PROTOCOL_ICMP,
  icmp6: PROTOCOL_ICMPV6,
  igmp: PROTOCOL_IGMP,
  tcp: PROTOCOL_TCP,
  udp: PROTOCOL_UDP,
};
const ETHERTYPES: Readonly<Record<string, number>> = {
  ip: ETHERTYPE_IPV4,
  ip6: ETHERTYPE_IPV6,
  arp: ETHERTYPE_ARP,
};
const KINDS = ["host", "net", "port", "portrange", "proto"] as const;
const MOST_DEPTH = 100;

/** Compiles a filter; an empty one keeps everything. Throws a FilterError. */
export function compileFilter(text: string): FrameFilter {
  const layers = new Layers();
  const parser = new Parser(text);
  if (parser.done) return () => true;
  const test = parser.expression();
  if (!parser.done) parser.fail("`and`, `or` or the end is expected");
  return (bytes, at, length) => layers.find(bytes, at, length) && test(layers);
}

interface Words {
  readonly protocol: string | undefined;
  readonly way: Way;
  readonly kind: (typeof KINDS)[number];
}

class Parser {
  readonly #text: string;
  readonly #tokens: { readonly text: string; readonly at: number }[];
  #next = 0;
  #depth = 0;
  #before: Words | undefined;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = [...text.matchAll(/&&|\|\||[()!]|[^\s()!&|]+|\S/g)].map((match) => ({
      text: match[0].toLowerCase(),
      at: match.index,
    }));
  }

  get done(): boolean {
    return this.#next === this.#tokens.length;
  }

  fail(message: string): never {
    const token = this.#tokens[this.#next];
    const found = token === undefined ? "" : `, not \`${token.text}\``;
    throw new FilterError(message + found, token?.at ?? this.#text.length);
  }

  #peek(ahead = 0): string {
    return this.#tokens[this.#next + ahead]?.text ?? "";
  }

  #accept(...words: string[]): boolean {
    if (!words.includes(this.#peek())) return false;
    this.#next++;
    return true;
  }

  expression(): Test {
    if (++this.#depth > MOST_DEPTH) this.fail("fewer parentheses are expected");
    let left = this.#term();
    for (;;) {
      const before = left;
      if (this.#accept("and", "&&")) {
        const right = this.#term();
        left = (frame) => before(frame) && right(frame);
      } else if (this.#accept("or", "||")) {
        const right = this.#term();
        left = (frame) => before(frame) || right(frame);
      } else {
        this.#depth--;
        return left;
      }
    }
  }

  #term(): Test {
    if (this.#accept("not", "!")) {
      if (++this.#depth > MOST_DEPTH) this.fail("fewer `not`s are expected");
      const test = this.#term();
      this.#depth--;
      return (frame) => !test(frame);
    }
    if (this.#accept("(")) {
      const test = this.expression();
      if (!this.#accept(")")) this.fail("`)` is expected");
      return test;
    }
    return this.#test();
  }

  #test(): Test {
    if (this.#accept("broadcast")) return isBroadcast;
    if (this.#accept("multicast")) return ({ bytes, at }) => (bytes[at]! & 1) !== 0;
    if (this.#accept("less")) {
      const most = this.#number(0xffff_ffff);
      return ({ at, end }) => end - at <= most;
    }
    if (this.#accept("greater")) {
      const least = this.#number(0xffff_ffff);
      return ({ at, end }) => end - at >= least;
    }
    if (this.#accept("vlan")) {
      if (!/^\d/.test(this.#peek())) return ({ vlan }) => vlan >= 0;
      const wanted = this.#number(4095);
      return ({ vlan }) => vlan === wanted;
    }
    return this.#qualified();
  }

  #qualified(): Test {
    const start = this.#next;
    let protocol: string | undefined;
    const first = this.#peek();
    if (first in PROTOCOLS || first in ETHERTYPES || first === "ether") {
      protocol = first;
      this.#next++;
      if (protocol === "ether" && this.#accept("broadcast")) return isBroadcast;
      if (protocol === "ether" && this.#accept("multicast")) {
        return ({ bytes, at }) => (bytes[at]! & 1) !== 0;
      }
    }
    const way = this.#way();
    const kind = KINDS.find((one) => this.#accept(one));
    const bare = this.#next === start;
    if (protocol !== undefined && way === undefined && kind === undefined) {
      if (protocol !== "ether" && !looksLikeAddress(this.#peek())) return isProtocol(protocol);
    }
    const words: Words =
      bare && this.#before !== undefined
        ? this.#before
        : { protocol, way: way ?? "either", kind: kind ?? "host" };
    if (bare && this.#before === undefined && !looksLikeAddress(this.#peek())) {
      this.fail("a test such as `icmp`, `host 10.0.0.1` or `tcp port 80` is expected");
    }
    this.#before = words;
    return this.#valued(words);
  }

  #way(): Way | undefined {
    if (this.#accept("src")) {
      if (this.#peek(1) === "dst" && (this.#peek() === "or" || this.#peek() === "and")) {
        const both = this.#peek() === "and";
        this.#next += 2;
        return both ? "both" : "either";
      }
      return "src";
    }
    return this.#accept("dst") ? "dst" : undefined;
  }

  #valued({ protocol, way, kind }: Words): Test {
    switch (kind) {
      case "host":
        return protocol === "ether" ? this.#mac(way) : this.#address(protocol, way, false);
      case "net":
        return this.#address(protocol, way, true);
      case "proto": {
        if (protocol === "ether") {
          const wanted = this.#number(0xffff);
          return ({ etherType }) => etherType === wanted;
        }
        const name = this.#peek();
        const wanted = PROTOCOLS[name] ?? this.#number(255);
        if (name in PROTOCOLS) this.#next++;
        const etherType = protocol === undefined ? undefined : ETHERTYPES[protocol];
        return (frame) =>
          frame.protocol === wanted && (etherType === undefined || frame.etherType === etherType);
      }
      default:
        return this.#port(protocol, way, kind === "portrange");
    }
  }

  #number(most: number): number {
    const token = this.#peek();
    const value = /^(0x[0-9a-f]+|\d+)$/.test(token) ? Number(token) : Number.NaN;
    if (!(value <= most)) this.fail(`a number up to ${most} is expected`);
    this.#next++;
    return value;
  }

  #mac(way: Way): Test {
    const mac = parseMac(this.#peek());
    if (mac === undefined) this.fail("a MAC address is expected");
    this.#next++;
    return byWay(
      way,
      (frame) => sameBytes(frame.bytes, frame.at + ETHERNET_FROM, mac, undefined),
      (frame) => sameBytes(frame.bytes, frame.at + ETHERNET_TO, mac, undefined),
    );
  }

  #address(protocol: string | undefined, way: Way, isNet: boolean): Test {
    const [text = "", lengthText] = this.#peek().split("/");
    const address = parseIp(text);
    if (address === undefined) {
      this.fail(isNet ? "a prefix such as 10.0.0.0/8 is expected" : "an IP address is expected");
    }
    const { family, value } = address;
    const size = family === 4 ? 4 : 16;
    const prefix = lengthText === undefined ? size * 8 : Number(lengthText);
    if (!/^\d+$/.test(lengthText ?? "0") || prefix > size * 8) {
      this.fail("a prefix such as 10.0.0.0/8 is expected");
    }
    if (!isNet && lengthText !== undefined) this.fail("`net` before a prefix is expected");
    this.#next++;
    const wanted = new Uint8Array(size);
    writeBig(wanted, 0, size, value);
    const mask = new Uint8Array(size);
    const ones = (1n << BigInt(prefix)) - 1n;
    writeBig(mask, 0, size, ones << BigInt(size * 8 - prefix));
    const transport = protocol === undefined ? undefined : PROTOCOLS[protocol];
    const etherType = protocol === undefined ? undefined : ETHERTYPES[protocol];
    const at = (v4: number, v6: number, arp: number): Test => {
      return (frame) => {
        if (transport !== undefined && frame.protocol !== transport) return false;
        if (etherType !== undefined && frame.etherType !== etherType) return false;
        const offset = addressOffset(frame, family, v4, v6, arp);
        return offset >= 0 && sameBytes(frame.bytes, offset, wanted, mask);
      };
    };
    return byWay(way, at(IPV4_FROM, IPV6_FROM, ARP_SENDER_IP), at(IPV4_TO, IPV6_TO, ARP_TARGET_IP));
  }

  #port(protocol: string | undefined, way: Way, isRange: boolean): Test {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(this.#peek());
    const low = Number(match?.[1] ?? Number.NaN);
    const high = Number(match?.[2] ?? match?.[1] ?? Number.NaN);
    if (!(low <= high && high <= 65_535) || (match?.[2] !== undefined) !== isRange) {
      this.fail(isRange ? "a range such as 6000-6063 is expected" : "a port is expected");
    }
    if (protocol !== undefined && protocol !== "tcp" && protocol !== "udp") {
      this.fail(`\`${protocol}\` has no ports; \`tcp\` or \`udp\` is expected`);
    }
    this.#next++;
    const wanted = protocol === undefined ? -1 : PROTOCOLS[protocol]!;
    const at = (offset: number): Test => {
      return ({ bytes, protocol: found, transport, networkEnd }) => {
        if (wanted >= 0 ? found !== wanted : found !== PROTOCOL_TCP && found !== PROTOCOL_UDP) {
          return false;
        }
        if (transport < 0 || transport + 4 > networkEnd) return false;
        const port = readU16(bytes, transport + offset);
        return port >= low && port <= high;
      };
    };
    return byWay(way, at(0), at(2));
  }
}

const looksLikeAddress = (text: string): boolean =>
  /^[0-9a-f.:]+(\/\d+)?$/.test(text) && /[.:]/.test(text);

const isBroadcast: Test = ({ bytes, at }) => {
  for (let i = 0; i < 6; i++) if (bytes[at + i] !== 0xff) return false;
  return true;
};

function isProtocol(name: string): Test {
  const type = ETHERTYPES[name];
  if (type !== undefined) return ({ etherType }) => etherType === type;
  const wanted = PROTOCOLS[name]!;
  return ({ protocol }) => protocol === wanted;
}

function byWay(way: Way, src: Test, dst: Test): Test {
  switch (way) {
    case "src":
      return src;
    case "dst":
      return dst;
    case "both":
      return (frame) => src(frame) && dst(frame);
    case "either":
      return (frame) => src(frame) || dst(frame);
  }
}

function addressOffset(frame: Layers, family: Family, v4: number, v6: number, arp: number): number {
  if (frame.family === family) return frame.network + (family === 4 ? v4 : v6);
  const isArp = frame.etherType === ETHERTYPE_ARP && frame.end - frame.network >= ARP_BYTES;
  return family === 4 && isArp ? frame.network + arp : -1;
}

function sameBytes(
  bytes: Uint8Array,
  at: number,
  wanted: Uint8Array,
  mask: Uint8Array | undefined,
): boolean {
  for (let i = 0; i < wanted.length; i++) {
    const bits = mask === undefined ? 0xff : mask[i]!;
    if ((bytes[at + i]! & bits) !== (wanted[i]! & bits)) return false;
  }
  return true;
}
