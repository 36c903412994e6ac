/**
 * On which ports a guest listens, from `/proc/net/{tcp,tcp6,udp,udp6}` (linux: net/ipv4/tcp_ipv4.c,
 * tcp4_seq_show): so nothing is needed in the guest, whatever its image.
 *
 *     sl  local_address rem_address   st …
 *      0: 0100007F:1F90 00000000:0000 0A …     port 8080 on 127.0.0.1, listening
 */

import type { ListenPort } from "../plan/expect-plan.ts";

export interface Listening extends ListenPort {
  /** Only the guest itself can reach it there. */
  readonly loopback: boolean;
}

const TCP_LISTEN = "0A";
/** A UDP socket that is bound and not connected. */
const UDP_OPEN = "07";

const LOOPBACK_6 = "00000000000000000000000001000000";

export function parseListening(protocol: "tcp" | "udp", text: string): Listening[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} ([0-9A-F]{2}) /.exec(
      line,
    );
    if (match === null) return [];
    const [, address = "", port = "", state] = match;
    if (state !== (protocol === "tcp" ? TCP_LISTEN : UDP_OPEN)) return [];
    // IPv4 in host byte order: 127.0.0.1 is 0100007F
    const loopback = address.length === 8 ? address.endsWith("7F") : address === LOOPBACK_6;
    return [{ protocol, port: Number.parseInt(port, 16), loopback }];
  });
}

/** What is not as claimed; undefined where all is. */
export function wrongListening(
  guest: string,
  wanted: readonly ListenPort[],
  found: readonly Listening[],
): string | undefined {
  const at = ({ port, protocol }: ListenPort) =>
    found.filter((one) => one.port === port && one.protocol === protocol);
  const missing = wanted.filter((one) => at(one).every(({ loopback }) => loopback));
  if (missing.length === 0) return undefined;
  const problems = missing.map((one) =>
    at(one).length > 0
      ? `${guest} listens on ${text(one)} for itself only (on its loopback address)`
      : `nothing listens on ${text(one)} of ${guest}`,
  );
  const open = [...new Set(found.filter(({ loopback }) => !loopback).map(text))].sort();
  return `${problems.join("; ")}; it listens on ${open.length === 0 ? "no port" : open.join(", ")}`;
}

const text = ({ port, protocol }: ListenPort): string => `${protocol} ${port}`;
