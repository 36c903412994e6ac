/** Which of the kernel's trace events are turned on for what a person wants to see. Pure. */

export const TRACE_KINDS = ["receive", "route", "send", "drop", "deliver", "tcp", "icmp"] as const;

export type TraceKind = (typeof TRACE_KINDS)[number];

/** An event of tracefs: `net/net_dev_queue`, and which of them (Documentation/trace/events.rst). */
export interface EventChoice {
  readonly event: string;
  readonly filter?: string;
}

/** linux: include/linux/socket.h, AF_INET and AF_INET6 */
const INTERNET = "family == 2 || family == 10";

/**
 * What tells one packet from the next: a packet begins where a driver hands it over, and ends where its
 * memory is given back. Buffers are used again at once, so that who doesn't see the end mixes packets.
 */
const LIFE: readonly EventChoice[] = [
  { event: "net/napi_gro_receive_entry" },
  { event: "net/netif_receive_skb" },
  { event: "skb/consume_skb" },
  { event: "skb/kfree_skb" },
];

const TOLD_BY: Readonly<Record<TraceKind, readonly EventChoice[]>> = {
  receive: LIFE,
  route: [...LIFE, { event: "fib/fib_table_lookup" }, { event: "fib6/fib6_table_lookup" }],
  send: [
    ...LIFE,
    { event: "net/net_dev_queue" },
    { event: "net/net_dev_start_xmit" },
    { event: "net/net_dev_xmit", filter: "rc != 0" },
  ],
  drop: [{ event: "skb/kfree_skb" }],
  deliver: [
    ...LIFE,
    { event: "net/net_dev_queue" },
    { event: "sock/sk_data_ready", filter: INTERNET },
    { event: "skb/skb_copy_datagram_iovec" },
  ],
  tcp: [
    { event: "sock/inet_sock_set_state" },
    { event: "tcp/tcp_retransmit_skb" },
    { event: "tcp/tcp_send_reset" },
    { event: "tcp/tcp_receive_reset" },
  ],
  icmp: [{ event: "icmp/icmp_send" }],
};

/** Each event once. */
export function eventsFor(kinds: Iterable<TraceKind>): readonly EventChoice[] {
  const chosen = new Map<string, EventChoice>();
  for (const kind of kinds) {
    for (const choice of TOLD_BY[kind]) chosen.set(choice.event, choice);
  }
  return [...chosen.values()];
}
