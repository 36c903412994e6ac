/**
 * A guest's routes as `ip route` shows them. One route a line with `-o`, and where there are
 * several next hops each has its `via`:
 *
 *     10.0.2.0/24 via 10.0.12.2 dev eth1 proto ospf metric 20
 *     10.9.0.0/16 proto bgp \	nexthop via 10.0.12.2 dev eth1 weight 1 \	nexthop via 10.0.13.3 …
 *     default via 10.0.1.1 dev eth0
 *     blackhole 10.1.0.0/16
 */

import { formatInterfaceAddress, formatIp, parseIp } from "../../base/addresses.ts";

export interface Route {
  /** `10.0.2.0/24` or `default`; canonical. */
  readonly to: string;
  readonly via: readonly string[];
  /** As `ip` prints it. */
  readonly text: string;
}

const KINDS = /^(unicast|blackhole|unreachable|prohibit|throw|local|broadcast|anycast|multicast)$/;

export function parseRoutes(output: string): Route[] {
  return output.split("\n").flatMap((line): Route[] => {
    const words = line.replaceAll("\\", " ").trim().split(/\s+/);
    const prefix = KINDS.test(words[0] ?? "") ? words[1] : words[0];
    if (prefix === undefined || prefix === "") return [];
    const via = words.flatMap((word, index) => {
      if (word !== "via") return [];
      const next = words[index + 1] === "inet6" ? words[index + 2] : words[index + 1];
      const address = parseIp(next ?? "");
      return address === undefined ? [] : [formatIp(address)];
    });
    return [{ to: canonical(prefix), via, text: words.join(" ") }];
  });
}

/** `ip` leaves the length of a single address out. */
function canonical(prefix: string): string {
  if (prefix === "default") return prefix;
  const [text = "", length] = prefix.split("/");
  const address = parseIp(text);
  if (address === undefined) return prefix;
  const prefixLength = length === undefined ? (address.family === 4 ? 32 : 128) : Number(length);
  return prefixLength === 0 ? "default" : formatInterfaceAddress({ address, prefixLength });
}

/** What is not as claimed; undefined where all is. */
export function wrongRoutes(
  guest: string,
  wanted: readonly { readonly to: string; readonly via: string }[],
  exactly: boolean,
  found: readonly Route[],
): string | undefined {
  const sixth = (via: string) => via.includes(":");
  const problems = wanted.flatMap(({ to, via }) => {
    const same = found.filter(
      (route) =>
        route.to === to &&
        (to !== "default" ||
          route.via.length === 0 ||
          route.via.some((one) => sixth(one) === sixth(via))),
    );
    const gateways = same.flatMap((route) => route.via);
    if (gateways.includes(via)) return [];
    if (same.length === 0) return [`${guest} has no route to ${to}`];
    return [`${guest} has \`${same[0]?.text}\` instead of ${to} via ${via}`];
  });
  if (exactly) {
    const others = found.filter(
      (route) =>
        route.via.length > 0 &&
        !route.via.every((via) => wanted.some((one) => one.to === route.to && one.via === via)),
    );
    const right = (route: Route) => wanted.some(({ to }) => to === route.to);
    for (const route of others.filter((one) => !right(one))) {
      problems.push(`${guest} also has \`${route.text}\``);
    }
    for (const route of others.filter(right)) {
      if (problems.every((problem) => !problem.includes(route.text))) {
        problems.push(`${guest} has more gateways than one in \`${route.text}\``);
      }
    }
  }
  return problems.length === 0 ? undefined : problems.join("; ");
}
