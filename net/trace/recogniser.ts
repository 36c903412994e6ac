/**
 * Tells frames that have to do with a trace's probes from all others: the probes by their cookie,
 * what answers them by the flows that were seen, ICMP errors by what they quote; and every question
 * and answer of ARP and neighbour discovery, since a probe may wait for one.
 *
 * It learns from what it saw: a NAT gives a packet other addresses, ports or an ICMP identifier, and
 * keeps the payload and TCP's sequence number. The answer then comes to what the last link showed.
 */

import { formatIp, formatMac, parseIp } from "../../base/addresses.ts";
import type { TracedFrame, TraceSpec } from "../control/messages.ts";
import { ARP_REQUEST, parseArp } from "../wire/arp.ts";
import { readBig, readU16, readU32 } from "../wire/bytes.ts";
import { ETHERNET_FROM, ETHERTYPE_ARP } from "../wire/ethernet.ts";
import * as icmp from "../wire/icmp.ts";
import {
  IPV4_FROM,
  IPV4_PROTOCOL,
  IPV4_TO,
  IPV4_TTL,
  ipv4HeaderBytes,
  PROTOCOL_ICMP,
  PROTOCOL_ICMPV6,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from "../wire/ipv4.ts";
import {
  type ExtensionWalk,
  IPV6_BYTES,
  IPV6_FROM,
  IPV6_HOP_LIMIT,
  IPV6_TO,
  walkExtensions,
} from "../wire/ipv6.ts";
import { Layers } from "../wire/layers.ts";
import {
  TCP_ACK,
  TCP_ACKNOWLEDGEMENT,
  TCP_BYTES,
  TCP_FLAGS,
  TCP_FROM_PORT,
  TCP_SEQUENCE,
  TCP_SYN,
  TCP_TO_PORT,
} from "../wire/tcp.ts";
import { UDP_BYTES } from "../wire/udp.ts";

const COOKIE_BYTES = 8;
/** Probes of one trace; more source ports than this are not looked at. */
const MOST_PROBES = 64;

const ERRORS4: ReadonlySet<number> = new Set([
  icmp.ICMP4_UNREACHABLE,
  icmp.ICMP4_REDIRECT,
  icmp.ICMP4_TIME_EXCEEDED,
]);
const ERRORS6: ReadonlySet<number> = new Set([
  icmp.ICMP6_UNREACHABLE,
  icmp.ICMP6_TOO_BIG,
  icmp.ICMP6_TIME_EXCEEDED,
]);

type Seen = Pick<TracedFrame, "kind" | "probe"> & Partial<TracedFrame>;

export class Recogniser {
  readonly #cookie: Uint8Array;
  readonly #tcp: TraceSpec["tcp"];
  readonly #tcpTo: bigint;
  readonly #layers = new Layers();
  readonly #walk: ExtensionWalk = { protocol: 0, at: 0, fragmented: false, first: true };
  /** Probes by what stays or was seen of them. */
  readonly #echoes = new Map<number, number>();
  readonly #sequences = new Map<number, number>();
  readonly #ports = new Map<number, number>();

  constructor(spec: TraceSpec) {
    this.#cookie = Buffer.from(spec.cookie, "hex");
    if (this.#cookie.length !== COOKIE_BYTES) throw new RangeError("a cookie has eight bytes");
    this.#tcp = spec.tcp;
    const to = spec.tcp === undefined ? undefined : parseIp(spec.tcp.to);
    if (spec.tcp !== undefined && to === undefined) {
      throw new RangeError(`${spec.tcp.to} is no address`);
    }
    this.#tcpTo = to?.value ?? -1n;
  }

  /** What the frame at `at` has to do with the trace; undefined for most. */
  look(bytes: Uint8Array, at: number, length: number): TracedFrame | undefined {
    const layers = this.#layers;
    if (!layers.find(bytes, at, length)) return undefined;
    if (layers.etherType === ETHERTYPE_ARP) return this.#arp(bytes);
    if (layers.family === 0 || layers.transport < 0) return undefined;
    const seen = this.#packet(
      bytes,
      layers.protocol,
      layers.network,
      layers.transport,
      layers.networkEnd,
    );
    if (seen === undefined) return undefined;
    const { family, network } = layers;
    return {
      ...this.#frame(bytes),
      from: addressAt(bytes, family, network + (family === 4 ? IPV4_FROM : IPV6_FROM)),
      to: addressAt(bytes, family, network + (family === 4 ? IPV4_TO : IPV6_TO)),
      ttl: bytes[network + (family === 4 ? IPV4_TTL : IPV6_HOP_LIMIT)]!,
      ...seen,
    };
  }

  #frame(bytes: Uint8Array): Pick<TracedFrame, "fromMac" | "toMac" | "vlan" | "bytes"> {
    const { at, end, vlan } = this.#layers;
    return {
      toMac: formatMac(bytes.subarray(at, at + ETHERNET_FROM)),
      fromMac: formatMac(bytes.subarray(at + ETHERNET_FROM, at + 2 * ETHERNET_FROM)),
      ...(vlan < 0 ? {} : { vlan }),
      bytes: end - at,
    };
  }

  #arp(bytes: Uint8Array): TracedFrame | undefined {
    const { network, end } = this.#layers;
    const arp = parseArp(bytes, network, end);
    if (arp === undefined) return undefined;
    const asks = arp.operation === ARP_REQUEST;
    return {
      ...this.#frame(bytes),
      kind: asks ? "ask" : "tell",
      probe: 0,
      from: formatIp(arp.senderIp),
      to: formatIp(asks ? arp.targetIp : arp.senderIp),
      ...(asks ? {} : { mac: formatMac(arp.senderMac) }),
    };
  }

  #packet(
    bytes: Uint8Array,
    protocol: number,
    network: number,
    at: number,
    end: number,
  ): Seen | undefined {
    switch (protocol) {
      case PROTOCOL_ICMP:
        return this.#icmp4(bytes, at, end);
      case PROTOCOL_ICMPV6:
        return this.#icmp6(bytes, network, at, end);
      case PROTOCOL_TCP:
        return this.#segment(bytes, network, at, end);
      case PROTOCOL_UDP:
        return this.#datagram(bytes, at, end);
      default:
        return undefined;
    }
  }

  #icmp4(bytes: Uint8Array, at: number, end: number): Seen | undefined {
    if (end - at < icmp.ICMP_BYTES) return undefined;
    const type = bytes[at]!;
    if (type === icmp.ICMP4_ECHO) return this.#echo(bytes, at, end, "request");
    if (type === icmp.ICMP4_ECHO_REPLY) return this.#echo(bytes, at, end, "answer");
    if (!ERRORS4.has(type)) return undefined;
    const inner = at + icmp.ICMP_BYTES;
    const header = ipv4HeaderBytes(bytes, inner, end);
    if (header === 0) return undefined;
    const probe = this.#quoted(bytes, bytes[inner + IPV4_PROTOCOL]!, inner + header, end);
    if (probe === 0) return undefined;
    const code = bytes[at + 1]!;
    const tooBig = type === icmp.ICMP4_UNREACHABLE && code === 4;
    return {
      kind: "error",
      probe,
      icmp: {
        type,
        code,
        ...(tooBig ? { mtu: readU16(bytes, at + 6) } : {}),
        about: addressAt(bytes, 4, inner + IPV4_TO),
      },
    };
  }

  #icmp6(bytes: Uint8Array, network: number, at: number, end: number): Seen | undefined {
    if (end - at < icmp.ICMP_BYTES) return undefined;
    const type = bytes[at]!;
    if (type === icmp.ICMP6_ECHO) return this.#echo(bytes, at, end, "request");
    if (type === icmp.ICMP6_ECHO_REPLY) return this.#echo(bytes, at, end, "answer");
    if (type === icmp.ICMP6_NEIGHBOR_SOLICITATION || type === icmp.ICMP6_NEIGHBOR_ADVERTISEMENT) {
      const target = icmp.neighborTarget(bytes, at, end);
      if (target === undefined) return undefined;
      const asks = type === icmp.ICMP6_NEIGHBOR_SOLICITATION;
      return {
        kind: asks ? "ask" : "tell",
        probe: 0,
        from: addressAt(bytes, 6, network + IPV6_FROM),
        to: formatIp(target),
        // RFC 4861 §4.4: an answer to a unicast question may leave its own address out
        ...(asks
          ? {}
          : { mac: formatMac(bytes.subarray(this.#layers.at + 6, this.#layers.at + 12)) }),
      };
    }
    if (!ERRORS6.has(type)) return undefined;
    const inner = at + icmp.ICMP_BYTES;
    const walk = this.#walk;
    if (end - inner < IPV6_BYTES || !walkExtensions(bytes, inner, end, walk)) return undefined;
    const probe = this.#quoted(bytes, walk.protocol, walk.at, end);
    if (probe === 0) return undefined;
    return {
      kind: "error",
      probe,
      icmp: {
        type,
        code: bytes[at + 1]!,
        ...(type === icmp.ICMP6_TOO_BIG ? { mtu: readU32(bytes, at + icmp.ICMP_REST) } : {}),
        about: addressAt(bytes, 6, inner + IPV6_TO),
      },
    };
  }

  #echo(bytes: Uint8Array, at: number, end: number, kind: "request" | "answer"): Seen | undefined {
    const probe = this.#marked(bytes, at + icmp.ICMP_BYTES, end);
    if (probe === 0) return undefined;
    if (kind === "request") this.#echoes.set(readU32(bytes, at + icmp.ICMP_REST), probe);
    return { kind, probe };
  }

  #datagram(bytes: Uint8Array, at: number, end: number): Seen | undefined {
    if (end - at < UDP_BYTES) return undefined;
    const from = readU16(bytes, at);
    const to = readU16(bytes, at + 2);
    const back = this.#ports.get(pair(to, from));
    if (back !== undefined) return { kind: "answer", probe: back, ports: [from, to] };
    const probe = this.#marked(bytes, at + UDP_BYTES, end);
    if (probe === 0) return undefined;
    this.#ports.set(pair(from, to), probe);
    return { kind: "request", probe, ports: [from, to] };
  }

  #segment(bytes: Uint8Array, network: number, at: number, end: number): Seen | undefined {
    if (this.#tcp === undefined || end - at < TCP_BYTES) return undefined;
    const flags = bytes[at + TCP_FLAGS]!;
    const from = readU16(bytes, at + TCP_FROM_PORT);
    const to = readU16(bytes, at + TCP_TO_PORT);
    const rest = { ports: [from, to], flags } as const;
    if ((flags & (TCP_SYN | TCP_ACK)) === TCP_SYN) {
      const sequence = readU32(bytes, at + TCP_SEQUENCE);
      let probe = this.#sequences.get(sequence) ?? 0;
      if (probe === 0) probe = this.#firstSegment(bytes, network, from, to);
      if (probe === 0) return undefined;
      this.#sequences.set(sequence, probe);
      return { kind: "request", probe, ...rest };
    }
    // an answer, a reset too, acknowledges the first sequence number
    const sequence = (readU32(bytes, at + TCP_ACKNOWLEDGEMENT) - 1) >>> 0;
    const probe = this.#sequences.get(sequence);
    const first = (flags & TCP_SYN) !== 0 || (flags & 0x04) !== 0;
    return probe !== undefined && first ? { kind: "answer", probe, ...rest } : undefined;
  }

  #firstSegment(bytes: Uint8Array, network: number, from: number, to: number): number {
    const { port, fromPort } = this.#tcp as NonNullable<TraceSpec["tcp"]>;
    const probe = from - fromPort;
    if (to !== port || probe < 1 || probe > MOST_PROBES) return 0;
    const { family } = this.#layers;
    const address =
      family === 4 ? readBig(bytes, network + IPV4_TO, 4) : readBig(bytes, network + IPV6_TO, 16);
    return address === this.#tcpTo ? probe : 0;
  }

  /** The probe that an ICMP error quotes; at least 8 bytes of it are there (RFC 792). */
  #quoted(bytes: Uint8Array, protocol: number, at: number, end: number): number {
    if (end - at < 8) return 0;
    switch (protocol) {
      case PROTOCOL_ICMP:
      case PROTOCOL_ICMPV6: {
        const data = at + icmp.ICMP_BYTES;
        // another prober, in another guest, may have the same identifier and number
        if (end - data > COOKIE_BYTES) return this.#marked(bytes, data, end);
        return this.#echoes.get(readU32(bytes, at + icmp.ICMP_REST)) ?? 0;
      }
      case PROTOCOL_UDP:
        return this.#ports.get(pair(readU16(bytes, at), readU16(bytes, at + 2))) ?? 0;
      case PROTOCOL_TCP:
        return this.#sequences.get(readU32(bytes, at + TCP_SEQUENCE)) ?? 0;
      default:
        return 0;
    }
  }

  /** The number behind the cookie; 0 where there is no cookie. */
  #marked(bytes: Uint8Array, at: number, end: number): number {
    if (end - at <= COOKIE_BYTES) return 0;
    for (let i = 0; i < COOKIE_BYTES; i++) if (bytes[at + i] !== this.#cookie[i]) return 0;
    return bytes[at + COOKIE_BYTES]!;
  }
}

const pair = (from: number, to: number): number => from * 0x1_0000 + to;

function addressAt(bytes: Uint8Array, family: 0 | 4 | 6, at: number): string {
  return family === 4
    ? formatIp({ family: 4, value: readBig(bytes, at, 4) })
    : formatIp({ family: 6, value: readBig(bytes, at, 16) });
}
