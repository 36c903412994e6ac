/** One line an event of a guest's kernel, in columns that stay where they are. */

import { count } from "../../base/units.ts";
import type { TraceEvent } from "../../kernel/guest/trace/packets.ts";
import { padEnd, padStart, type Style } from "./style.ts";

const TIME_COLUMNS = 12;
const PACKET_COLUMNS = 5;
const INTERFACE_COLUMNS = 6;
const WHAT_COLUMNS = 10;

/** `    0.001234     #1  eth0    received    IPv4, 84 bytes` */
export function traceLine(event: TraceEvent, style: Style): string {
  const { none } = style.marks;
  const time = (event.timeUs / 1e6).toFixed(6);
  const packet = event.packet === null ? none : `#${event.packet}`;
  return [
    style.dim(padStart(time, TIME_COLUMNS)),
    inColour(event.packet, padStart(packet, PACKET_COLUMNS), style),
    padEnd(event.interface ?? none, INTERFACE_COLUMNS),
    paint(event, style)(padEnd(event.what, WHAT_COLUMNS)),
    words(event, style),
  ]
    .join("  ")
    .trimEnd();
}

/** The same packet, the same colour; neighbours differ. */
function inColour(packet: number | null, text: string, style: Style): string {
  if (packet === null) return style.dim(text);
  return [style.cyan, style.yellow, style.green, style.bold][packet % 4]?.(text) ?? text;
}

function paint({ kind, what }: TraceEvent, style: Style): (text: string) => string {
  if (kind === "drop" || kind === "lost" || what === "no route" || what === "refused") {
    return style.red;
  }
  if (kind === "icmp" || what === "sent again" || what.startsWith("reset")) return style.yellow;
  return kind === "deliver" ? style.green : (text) => text;
}

function words(event: TraceEvent, style: Style): string {
  const { protocol, bytes, error, program } = event;
  const parts = [
    [protocol, flow(event, style)].filter(Boolean).join(" "),
    bytes === undefined ? "" : count(bytes, "byte"),
  ].filter(Boolean);
  const by = program === undefined ? "" : style.dim(` (${program})`);
  return `${parts.join(", ")}${result(event, style, error)}${by}`;
}

function flow({ kind, from, to }: TraceEvent, style: Style): string {
  if (from === undefined || to === undefined) return "";
  // an error is about a packet, and goes the other way
  return kind === "icmp" ? "" : `${from} ${style.marks.arrow} ${to}`;
}

function result(event: TraceEvent, style: Style, error: string | undefined): string {
  const { arrow } = style.marks;
  const inFunction = event.function === undefined ? "" : ` in ${event.function}`;
  switch (event.kind) {
    case "route":
      return event.out === undefined
        ? `: ${error === undefined ? "none" : error} in table ${event.table}`
        : `: ${event.out}${event.gateway === undefined ? "" : ` via ${event.gateway}`}`;
    case "drop": {
      const meaning = REASONS[event.reason ?? ""];
      return `: ${style.bold(event.reason ?? "")}${inFunction}${meaning === undefined ? "" : `: ${meaning}`}`;
    }
    case "deliver":
      return event.function === undefined ? "" : `: by ${event.function}`;
    case "tcp":
      return event.after !== undefined
        ? `: ${event.before} ${arrow} ${event.after}`
        : event.before !== undefined
          ? `: ${event.before}`
          : "";
    case "icmp":
      return `: ${icmpWords(event)}, about ${event.from} ${arrow} ${event.to}`;
    case "send":
      return error === undefined ? "" : `: the driver answers ${error}`;
    case "lost":
      return `${event.count} events: they came faster than they were read`;
    default:
      return "";
  }
}

/** linux: include/net/dropreason-core.h; those that a lab meets, in a student's words. */
const REASONS: Readonly<Record<string, string>> = {
  NETFILTER_DROP: "a rule of the firewall",
  NO_SOCKET: "nobody listens there",
  OTHERHOST: "it is for another's MAC address",
  IP_OUTNOROUTES: "no route leads there",
  IP_INNOROUTES: "no route leads there",
  IP_INADDRERRORS: "no route leads there",
  IP_INVALID_SOURCE: "its source can't be",
  IP_LOCAL_SOURCE: "its source is an address of this guest",
  IP_RPFILTER: "its source is not routed to where it came from",
  IP_CSUM: "its checksum is wrong",
  IP_INHDR: "its header is wrong, or its TTL has run out",
  TCP_CSUM: "its checksum is wrong",
  UDP_CSUM: "its checksum is wrong",
  ICMP_CSUM: "its checksum is wrong",
  PKT_TOO_BIG: "it is longer than the way's MTU",
  SOCKET_RCVBUFF: "who should read it doesn't keep up",
  SOCKET_FILTER: "the socket's filter",
  NEIGH_FAILED: "nobody answered for the next hop's address",
  NEIGH_QUEUEFULL: "too many wait for the next hop's MAC address",
  NEIGH_CREATEFAIL: "no room for one more neighbour",
  QDISC_DROP: "the queue of the interface was full",
  TC_INGRESS: "a filter of tc",
  TC_EGRESS: "a filter of tc",
  UNHANDLED_PROTO: "no part of the kernel takes this protocol",
  UNICAST_IN_L2_MULTICAST: "sent to all, for one",
  DEV_READY: "the interface is down",
  TCP_CLOSE: "the connection is closed",
  TCP_RESET: "the connection was reset",
};

/** linux: include/uapi/linux/icmp.h */
const UNREACHABLE: Readonly<Record<number, string>> = {
  0: "network unreachable",
  1: "host unreachable",
  2: "protocol unreachable",
  3: "port unreachable",
  4: "fragmentation needed",
  9: "network prohibited",
  10: "host prohibited",
  13: "prohibited",
};

function icmpWords({ type, code }: TraceEvent): string {
  if (type === 3) return UNREACHABLE[code ?? -1] ?? `unreachable, code ${code}`;
  if (type === 5) return "redirect";
  if (type === 11) return code === 0 ? "time exceeded" : "fragments missing";
  if (type === 12) return "parameter problem";
  return `type ${type}, code ${code}`;
}
