/**
 * The kernel's events to what became of which packet. The kernel tells only the address of a packet's buffer;
 * the same address is the same packet until the buffer is given back, and that packet gets a number.
 *
 *     napi_gro_receive_entry      a driver has a new packet
 *     netif_receive_skb           -> received
 *     fib_table_lookup            -> routed     (names no packet, see `#alone`)
 *     net_dev_queue, …_start_xmit -> queued, sent
 *     kfree_skb                   -> dropped
 *     consume_skb                 -> taken, where it was for this guest
 */

import type { TraceKind } from "./events.ts";
import { fieldsOf, type KernelEvent, type LostEvents } from "./line.ts";

/** One thing that happened. Its JSON is a contract; fields may be added. */
export interface TraceEvent {
  /** Microseconds since the first event of the trace. */
  readonly timeUs: number;
  readonly kind: TraceKind | "lost";
  readonly what: string;
  /** The same number, the same packet; null where the kernel doesn't tell. */
  readonly packet: number | null;
  readonly interface: string | null;
  /** `IPv4`, `ARP`, `TCP`; a number where it has no name here. */
  readonly protocol?: string;
  readonly from?: string;
  readonly to?: string;
  readonly bytes?: number;
  /** Of a route: the interface it leads to, the gateway, the table. */
  readonly out?: string;
  readonly gateway?: string;
  readonly table?: number;
  /** An errno's name, or a number. */
  readonly error?: string;
  /** Why a packet was dropped, in the kernel's word. */
  readonly reason?: string;
  /** Which function of the kernel did it. */
  readonly function?: string;
  /** TCP's states. */
  readonly before?: string;
  readonly after?: string;
  /** Of ICMP. */
  readonly type?: number;
  readonly code?: number;
  /** In which program's time, where it is a program that did it. */
  readonly program?: string;
  /** Events that the kernel had no room for. */
  readonly count?: number;
}

interface Packet {
  readonly number: number;
  interface: string | null;
  protocol: string | undefined;
  from?: string;
  to?: string;
  stage: "new" | "received" | "routed" | "leaving";
}

/** Packets that are known at once; the kernel's buffers are fewer. */
const MOST_PACKETS = 4096;

/** linux: include/uapi/linux/if_ether.h */
const ETHERNET: Readonly<Record<number, string>> = {
  2048: "IPv4",
  2054: "ARP",
  34525: "IPv6",
  33024: "VLAN",
  34887: "MPLS",
  34915: "PPPoE",
  34916: "PPPoE",
  35020: "LLDP",
  4: "802.2",
};

/** linux: include/uapi/linux/in.h */
const INTERNET: Readonly<Record<number, string>> = {
  1: "ICMP",
  2: "IGMP",
  4: "IPIP",
  6: "TCP",
  17: "UDP",
  41: "IPv6",
  47: "GRE",
  50: "ESP",
  58: "ICMPv6",
  89: "OSPF",
  103: "PIM",
  112: "VRRP",
  132: "SCTP",
};

/** linux: include/uapi/asm-generic/errno.h, those that a routing table answers with */
const ERRORS: Readonly<Record<number, string>> = {
  11: "EAGAIN",
  13: "EACCES",
  22: "EINVAL",
  101: "ENETUNREACH",
  113: "EHOSTUNREACH",
};

/** A table that has no answer: the next one is asked, and main is the last with routes in it. */
const NOTHING_THERE = "EAGAIN";
/** linux: include/uapi/linux/rtnetlink.h, RT_TABLE_MAIN and RT_TABLE_LOCAL */
const MAIN_TABLE = 254;
const LOCAL_TABLE = 255;

/** linux: include/net/flow.h, LOOPBACK_IFINDEX: where packets of the guest's own come from. */
const FROM_ITSELF = 1;
/** An address is looked up, and no packet is routed. */
const FROM_NOWHERE = 0;
/** Who runs when nobody does, or is interrupted: not a program that did something. */
const NOBODY = /^(<idle>|swapper.*|ksoftirqd\/\d+)$/;

type Teller = (this: PacketStory, event: KernelEvent) => Partial<TraceEvent> | undefined;

export class PacketStory {
  readonly #packets = new Map<string, Packet>();
  #known = 0;
  #startUs: number | undefined;
  #lastUs = 0;
  /** Those that a driver handed over together and that the stack works at now. */
  #batch: Packet[] = [];

  /** Undefined where nothing happened that a person wants to know. */
  tell(event: KernelEvent | LostEvents): TraceEvent | undefined {
    if ("lost" in event) {
      // among them may be the ends of packets
      this.#packets.clear();
      this.#batch = [];
      const count = event.lost;
      return {
        timeUs: this.#lastUs,
        kind: "lost",
        what: "lost",
        packet: null,
        interface: null,
        count,
      };
    }
    this.#startUs ??= event.timeUs;
    this.#lastUs = event.timeUs - this.#startUs;
    const told = TELLERS[event.name]?.call(this, event);
    if (told?.kind === undefined || told.what === undefined) return undefined;
    const { kind, what } = told;
    return { timeUs: this.#lastUs, packet: null, interface: null, ...told, kind, what };
  }

  /** A driver has a packet: whatever was known of this address is another's. */
  begin(fields: ReadonlyMap<string, string>): void {
    if (this.#batch.some(({ stage }) => stage !== "new")) this.#batch = [];
    const address = fields.get("skbaddr");
    if (address !== undefined) this.#packets.delete(address);
    const protocol = named(ETHERNET, fields.get("protocol"));
    this.#batch.push(this.packetOf(fields, { protocol }));
  }

  /** The packet that an event is about, known from now on; null without an address. */
  packetOf(fields: ReadonlyMap<string, string>, more: Partial<Packet> = {}): Packet {
    const address = fields.get("skbaddr") ?? "";
    const known = this.#packets.get(address);
    const packet: Packet = known ?? {
      number: ++this.#known,
      interface: null,
      protocol: undefined,
      stage: "new",
    };
    if (known === undefined) {
      const [oldest] = this.#packets.keys();
      if (this.#packets.size >= MOST_PACKETS && oldest !== undefined) this.#packets.delete(oldest);
      this.#packets.set(address, packet);
    }
    packet.interface = fields.get("dev") ?? packet.interface;
    packet.protocol = more.protocol ?? packet.protocol;
    packet.stage = more.stage ?? packet.stage;
    return packet;
  }

  knows(fields: ReadonlyMap<string, string>): boolean {
    return this.#packets.has(fields.get("skbaddr") ?? "");
  }

  end(fields: ReadonlyMap<string, string>): Packet {
    const packet = this.packetOf(fields);
    this.#packets.delete(fields.get("skbaddr") ?? "");
    this.#batch = this.#batch.filter((one) => one !== packet);
    return packet;
  }

  /**
   * The one packet that the stack can be at work on, where an event names none. Several that came
   * together are told apart by nothing.
   */
  alone(fits: (packet: Packet) => boolean): Packet | undefined {
    const those = this.#batch.filter(fits);
    return those.length === 1 ? those[0] : undefined;
  }
}

const about = (packet: Packet): Partial<TraceEvent> => ({
  packet: packet.number,
  interface: packet.interface,
  ...(packet.protocol === undefined ? {} : { protocol: packet.protocol }),
  ...(packet.from === undefined ? {} : { from: packet.from }),
  ...(packet.to === undefined ? {} : { to: packet.to }),
});

const bytesOf = (fields: ReadonlyMap<string, string>): Partial<TraceEvent> => {
  const bytes = Number(fields.get("len"));
  return Number.isInteger(bytes) ? { bytes } : {};
};

function named(
  names: Readonly<Record<number, string>>,
  value: string | undefined,
): string | undefined {
  if (value === undefined || !/^(0x[0-9a-f]+|\d+)$/.test(value) || Number(value) === 0)
    return undefined;
  return names[Number(value)] ?? value;
}

/** `ip_forward+0x9e/0x110` without where in it. */
const functionOf = (location: string | undefined): Partial<TraceEvent> =>
  location === undefined
    ? {}
    : { function: location.replace(/\+0x[0-9a-f]+(\/0x[0-9a-f]+)?$/, "") };

function sent(what: string): Teller {
  return function ({ text }) {
    const fields = fieldsOf(text);
    const protocol = named(ETHERNET, fields.get("protocol"));
    const packet = this.packetOf(fields, { protocol, stage: "leaving" });
    return { kind: "send", what, ...about(packet), ...bytesOf(fields) };
  };
}

/** Both families print the same but for the gateway: `10.0.0.2/::` and `fe80::1`. */
const LOOKUP =
  /^table +(\d+) oif \d+ iif (\d+) proto (\d+) (\S+)\/(\d+) -> (\S+)\/(\d+) .*==> dev (\S+) gw (\S+) err (-?\d+)$/;

const looked: Teller = function ({ text, task }) {
  const [, table, iif, protocol, from, fromPort, to, toPort, out, gateways, err] =
    LOOKUP.exec(text) ?? [];
  if (from === undefined || to === undefined) return undefined;
  const family = from.includes(":") ? "IPv6" : "IPv4";
  const error = Number(err) === 0 ? undefined : (ERRORS[-Number(err)] ?? String(err));
  if (Number(iif) === FROM_NOWHERE) return undefined;
  if (error === NOTHING_THERE && Number(table) !== MAIN_TABLE) return undefined;
  if (error !== undefined && Number(table) === LOCAL_TABLE) return undefined;
  const packet =
    Number(iif) === FROM_ITSELF
      ? undefined
      : this.alone(({ stage, protocol }) => stage === "received" && protocol === family);
  const addresses = { from: withPort(from, fromPort), to: withPort(to, toPort) };
  if (packet !== undefined) Object.assign(packet, addresses, { stage: "routed" });
  const gateway = (gateways as string).split("/").find((one) => one !== "0.0.0.0" && one !== "::");
  return {
    kind: "route",
    what: error === undefined ? "routed" : "no route",
    ...(packet === undefined ? {} : about(packet)),
    protocol: named(INTERNET, protocol) ?? family,
    ...addresses,
    table: Number(table),
    ...(error === undefined ? { out: out as string } : {}),
    ...(error === undefined || error === NOTHING_THERE ? {} : { error }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(Number(iif) === FROM_ITSELF ? programOf(task) : {}),
  };
};

const programOf = (task: string): Partial<TraceEvent> =>
  NOBODY.test(task) ? {} : { program: task };

const withPort = (address: string, port: string | undefined): string =>
  port === undefined || port === "0"
    ? address
    : address.includes(":")
      ? `[${address}]:${port}`
      : `${address}:${port}`;

const connection = (fields: ReadonlyMap<string, string>): Partial<TraceEvent> => {
  const ends = (four: string, six: string, port: string) => {
    const address = fields.get("family")?.endsWith("INET6") ? fields.get(six) : fields.get(four);
    // what an IPv6 socket calls a peer of the other family
    return withPort(address?.replace("::ffff:", "") ?? "?", fields.get(port));
  };
  return {
    from: fields.get("src") ?? ends("saddr", "saddrv6", "sport"),
    to: fields.get("dest") ?? ends("daddr", "daddrv6", "dport"),
  };
};

const onConnection =
  (what: string): Teller =>
  ({ text }) => {
    const state = fieldsOf(text).get("state")?.replace(/^TCP_/, "");
    return {
      kind: "tcp",
      what,
      protocol: "TCP",
      ...connection(fieldsOf(text)),
      ...(state === undefined || state === "UNKNOWN" ? {} : { before: state }),
    };
  };

const TELLERS: Readonly<Record<string, Teller>> = {
  napi_gro_receive_entry({ text }) {
    this.begin(fieldsOf(text));
    return undefined;
  },
  netif_receive_skb({ text }) {
    const fields = fieldsOf(text);
    const packet = this.packetOf(fields, { stage: "received" });
    return { kind: "receive", what: "received", ...about(packet), ...bytesOf(fields) };
  },
  fib_table_lookup: looked,
  fib6_table_lookup: looked,
  net_dev_queue: sent("queued"),
  net_dev_start_xmit: sent("sent"),
  net_dev_xmit({ text }) {
    const fields = fieldsOf(text);
    const packet = this.packetOf(fields);
    return { kind: "send", what: "refused", ...about(packet), error: fields.get("rc") ?? "?" };
  },
  kfree_skb({ text }) {
    const fields = fieldsOf(text);
    const protocol = named(ETHERNET, fields.get("protocol"));
    // sockets within the guest (AF_UNIX, netlink) have such buffers, too
    if (protocol === undefined && !this.knows(fields)) return undefined;
    const packet = this.end(fields);
    packet.protocol ??= protocol;
    return {
      kind: "drop",
      what: "dropped",
      ...about(packet),
      reason: /reason: (\w+)/.exec(text)?.[1] ?? "NOT_SPECIFIED",
      ...functionOf(fields.get("location")),
    };
  },
  consume_skb({ text }) {
    const fields = fieldsOf(text);
    if (!this.knows(fields)) return undefined;
    const packet = this.end(fields);
    // what left is given back by the driver, when it is out
    if (packet.stage !== "received" && packet.stage !== "routed") return undefined;
    return {
      kind: "deliver",
      what: "taken",
      ...about(packet),
      ...functionOf(fields.get("location")),
    };
  },
  sk_data_ready({ text }) {
    const protocol = named(INTERNET, fieldsOf(text).get("protocol"));
    const packet = this.alone(({ stage }) => stage === "received" || stage === "routed");
    return {
      kind: "deliver",
      what: "in socket",
      ...(packet === undefined ? {} : about(packet)),
      ...(protocol === undefined ? {} : { protocol }),
    };
  },
  skb_copy_datagram_iovec({ text, task }) {
    const fields = fieldsOf(text);
    if (!this.knows(fields)) return undefined;
    return {
      kind: "deliver",
      what: "read",
      ...about(this.packetOf(fields)),
      ...bytesOf(fields),
      ...programOf(task),
    };
  },
  inet_sock_set_state({ text }) {
    const fields = fieldsOf(text);
    const state = (key: string) => fields.get(key)?.replace(/^TCP_/, "") ?? "?";
    return {
      kind: "tcp",
      what: "state",
      protocol: fields.get("protocol")?.replace(/^IPPROTO_/, "") ?? "TCP",
      ...connection(fields),
      before: state("oldstate"),
      after: state("newstate"),
    };
  },
  tcp_retransmit_skb: onConnection("sent again"),
  tcp_send_reset: onConnection("reset sent"),
  tcp_receive_reset: onConnection("reset got"),
  icmp_send({ text }) {
    const [, type, code, from, to] =
      /type=(\d+), code=(\d+)\. From (\S+) to (\S+) /.exec(text) ?? [];
    if (type === undefined) return undefined;
    const fields = fieldsOf(text);
    const packet = this.knows(fields) ? about(this.packetOf(fields)) : {};
    const plain = (address: string | undefined) => address?.replace(/:0$/, "") ?? "?";
    return {
      kind: "icmp",
      what: "icmp sent",
      ...packet,
      protocol: "ICMP",
      type: Number(type),
      code: Number(code),
      from: plain(from),
      to: plain(to),
    };
  },
};
