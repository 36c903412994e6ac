/**
 * The texts of the language that have a form: addresses, durations, ends, … The schema names a
 * kind with `x-kind`; here is how each is read, what to call it, and what to say of a wrong one.
 */

import {
  bitsOf,
  formatInterfaceAddress,
  formatIp,
  type InterfaceAddress,
  type IpAddress,
  networkOf,
  parseIp,
  parseMac,
} from "../../base/addresses.ts";
import type { ErrorCode } from "../../base/errors.ts";
import { closest } from "../../base/similar.ts";
import {
  parseBitsPerSecond,
  parseBytes,
  parseDurationNs,
  parseFraction,
} from "../../base/units.ts";
import { expand, parseRange } from "./ranges.ts";

/** A wrong text: what is wrong, and what to write instead. */
export interface Wrong {
  readonly message: string;
  readonly hint: string;
  /** Where in the text it begins; default 0, all of it. */
  readonly index?: number;
  /** Default: the kind's. */
  readonly code?: ErrorCode;
}

export interface Kind {
  readonly code: ErrorCode;
  /** Undefined for a right text. */
  readonly examine: (text: string) => Wrong | undefined;
}

/** No range makes more names than this. */
export const MOST_GUESTS = 1000;
/** eth0 … eth63: each NIC costs the guest's kernel a device. */
export const MOST_INTERFACES = 64;

const NAME = /^[a-z][a-z0-9-]{0,30}$/;

function examineName(text: string): Wrong | undefined {
  const range = parseRange(text);
  if (range === undefined) {
    if (NAME.test(text)) return undefined;
    const better = text
      .toLowerCase()
      .replace(/[^a-z0-9-]+/g, "-")
      .replace(/^[^a-z]+|-+$/g, "")
      .slice(0, 31);
    return {
      message: `\`${text}\` is not a name`,
      hint: `a name has lower-case letters, digits and hyphens, begins with a letter and has at most 31 characters${NAME.test(better) ? `: \`${better}\`` : ""}`,
    };
  }
  if (range.to < range.from) {
    return {
      message: `the range \`${text}\` runs backwards`,
      hint: `write \`${range.prefix}${range.to}..${range.from}\``,
    };
  }
  if (range.to - range.from >= MOST_GUESTS) {
    return {
      message: `the range \`${text}\` makes ${range.to - range.from + 1} names`,
      hint: `a lab has at most ${MOST_GUESTS}`,
    };
  }
  const bad = expand(text).find((name) => !NAME.test(name));
  if (bad === undefined) return undefined;
  return {
    message: `the range \`${text}\` makes \`${bad}\`, which is not a name`,
    hint: "a name has lower-case letters, digits and hyphens, begins with a letter and has at most 31 characters",
  };
}

/** What is wrong with an address that an interface cannot have. */
function examineAddressItself({ family, value }: IpAddress, text: string): Wrong | undefined {
  const use = family === 4 ? "`10.0.1.10/24`" : "`fd00:1::10/64`";
  const not = (what: string) => ({
    message: `${text} is ${what}: no interface can have it`,
    hint: `take an address such as ${use}`,
  });
  if (family === 4) {
    const first = Number(value >> 24n);
    if (first === 0) return not("in 0.0.0.0/8, which means this network");
    if (first === 127) return not("a loopback address");
    if (first >= 240) return not("a reserved address");
    if (first >= 224) return not("a multicast address");
    return undefined;
  }
  if (value === 0n) return not("the unspecified address");
  if (value === 1n) return not("the loopback address");
  if (value >> 120n === 0xffn) return not("a multicast address");
  if (value >> 118n === 0x3fan) {
    return {
      message: `${text} is link-local: the kernel gives every interface one by itself`,
      hint: `take an address that others can reach, such as ${use}`,
    };
  }
  return undefined;
}

function whyNotIp(text: string): Wrong {
  const not = (why: string, hint: string) => ({
    message: `\`${text}\` is not an address: ${why}`,
    hint,
  });
  if (/^\d+(\.\d+)*$/.test(text)) {
    const parts = text.split(".");
    const large = parts.find((part) => Number(part) > 255);
    if (parts.length !== 4) {
      return not(
        `IPv4 has four numbers, this has ${parts.length}`,
        "write for instance `10.0.1.10`",
      );
    }
    if (large !== undefined) return not(`${large} is larger than 255`, "each number is 0 to 255");
    const plain = parts.map(Number).join(".");
    return not("a number starts with a zero", `write \`${plain}\``);
  }
  return not(
    text.includes(":")
      ? "IPv6 has eight groups of hexadecimal digits, or `::` once"
      : "it has characters that no address has",
    "write for instance `10.0.1.10` or `2001:db8::10`",
  );
}

/** `10.0.1.10/24` split and read; or what is wrong. */
function readPrefixed(text: string): InterfaceAddress | Wrong {
  const slash = text.indexOf("/");
  if (slash < 0) {
    const address = parseIp(text);
    if (address === undefined) return whyNotIp(text);
    return {
      message: `\`${text}\` lacks its prefix length`,
      hint: `write \`${text}/${address.family === 4 ? 24 : 64}\`, or what its subnet has`,
    };
  }
  const address = parseIp(text.slice(0, slash));
  if (address === undefined) return whyNotIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  const bits = bitsOf(address.family);
  if (parseIp(length) !== undefined) {
    return {
      message: `\`${text}\` has a netmask where the prefix length belongs`,
      hint: "write the number of leading one bits: `/24` for 255.255.255.0",
    };
  }
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > bits) {
    return {
      message: `\`/${length}\` is not a prefix length of IPv${address.family}`,
      hint: `it is a number from 1 to ${bits}`,
    };
  }
  return { address, prefixLength: Number(length) };
}

const isWrong = (value: object): value is Wrong => "message" in value;

function examineInterfaceAddress(text: string): Wrong | undefined {
  const read = readPrefixed(text);
  if (isWrong(read)) return read;
  const itself = examineAddressItself(read.address, formatIp(read.address));
  if (itself !== undefined) return itself;
  const { address, prefixLength } = read;
  if (prefixLength === 0) {
    return {
      message: `\`${text}\`: an interface's subnet cannot be all addresses`,
      hint: `write \`${formatIp(address)}/${address.family === 4 ? 24 : 64}\`, or what its subnet has`,
    };
  }
  const hostBits = bitsOf(address.family) - prefixLength;
  if (hostBits < 2) return undefined;
  const network = networkOf(read);
  const first = formatIp({ family: address.family, value: network.address.value + 1n });
  if (address.value === network.address.value) {
    return {
      message: `${text} is the address of the subnet itself`,
      hint: `take one inside it: \`${first}/${prefixLength}\``,
    };
  }
  if (
    address.family === 4 &&
    address.value === network.address.value + (1n << BigInt(hostBits)) - 1n
  ) {
    return {
      message: `${text} is the broadcast address of its subnet`,
      hint: `take one inside it: \`${first}/${prefixLength}\``,
    };
  }
  return undefined;
}

const examineSubnet =
  (family: 4 | 6) =>
  (text: string): Wrong | undefined => {
    const read = readPrefixed(text);
    if (isWrong(read)) return read;
    if (read.address.family !== family) {
      return {
        message: `\`${text}\` is IPv${read.address.family}`,
        hint:
          family === 4
            ? "`subnet` is for IPv4, `subnet6` for IPv6"
            : "`subnet6` is for IPv6, `subnet` for IPv4",
      };
    }
    const network = networkOf(read);
    if (network.address.value !== read.address.value) {
      return {
        message: `\`${text}\` is an address inside a subnet`,
        hint: `the subnet is \`${formatInterfaceAddress(network)}\``,
      };
    }
    if (read.prefixLength < (family === 4 ? 4 : 16)) {
      return {
        message: `\`${text}\` is too large for a subnet`,
        hint:
          family === 4
            ? "write for instance `10.0.1.0/24`"
            : "write for instance `2001:db8:1::/64`",
      };
    }
    return undefined;
  };

function examineAddress(text: string): Wrong | undefined {
  const slash = text.indexOf("/");
  if (slash >= 0 && parseIp(text.slice(0, slash)) !== undefined) {
    return {
      message: `\`${text}\` has a prefix length`,
      hint: `write the address alone: \`${text.slice(0, slash)}\``,
    };
  }
  const address = parseIp(text);
  return address === undefined ? whyNotIp(text) : examineAddressItself(address, text);
}

export interface RouteText {
  readonly to: InterfaceAddress;
  readonly via: IpAddress;
}

/** `10.9.0.0/16 via 10.0.1.254`, `default via 10.0.1.1`. */
export function readRoute(text: string): RouteText | Wrong {
  const match = /^\s*(\S+)\s+via\s+(\S+)\s*$/.exec(text);
  if (match === null) {
    return {
      message: `\`${text}\` is not a route`,
      hint: "write `10.9.0.0/16 via 10.0.1.254`",
    };
  }
  const [, prefix = "", gateway = ""] = match;
  const wrong = examineAddress(gateway);
  if (wrong !== undefined) return wrong;
  const via = parseIp(gateway) as IpAddress;
  if (prefix === "default") {
    return { to: { address: { family: via.family, value: 0n }, prefixLength: 0 }, via };
  }
  if (!prefix.includes("/")) {
    const host = parseIp(prefix);
    if (host === undefined) return whyNotIp(prefix);
    return {
      message: `\`${prefix}\` lacks its prefix length`,
      hint: `write \`${prefix}/${bitsOf(host.family)}\` for this one address`,
    };
  }
  const to = readPrefixed(prefix);
  if (isWrong(to)) return to;
  if (networkOf(to).address.value !== to.address.value) {
    return {
      message: `\`${prefix}\` is an address inside a subnet`,
      hint: `the subnet is \`${formatInterfaceAddress(networkOf(to))}\``,
    };
  }
  if (to.address.family !== via.family) {
    return {
      message: `a route to an IPv${to.address.family} subnet cannot go via an IPv${via.family} address`,
      hint: `name an IPv${to.address.family} address after \`via\``,
    };
  }
  return { to, via };
}

/** An end of a link, taken apart. Names are not looked up here. */
export interface EndText {
  readonly name: string;
  readonly interface: string | undefined;
  readonly address: string | undefined;
  /** Where in the text the interface and the address begin. */
  readonly interfaceIndex: number;
  readonly addressIndex: number;
}

export function splitEnd(text: string): EndText {
  const equals = text.indexOf("=");
  const left = equals < 0 ? text : text.slice(0, equals);
  const colon = left.indexOf(":");
  return {
    name: colon < 0 ? left : left.slice(0, colon),
    interface: colon < 0 ? undefined : left.slice(colon + 1),
    address: equals < 0 ? undefined : text.slice(equals + 1),
    interfaceIndex: colon + 1,
    addressIndex: equals + 1,
  };
}

function examineInterface(text: string): Wrong | undefined {
  const match = /^eth(0|[1-9]\d*)$/.exec(text);
  if (match === null) {
    const digits = /(\d+)$/.exec(text)?.[1];
    return {
      message: `\`${text}\` is not an interface`,
      hint: `interfaces are called \`eth0\`, \`eth1\`, …${digits === undefined ? "" : `: write \`eth${Number(digits)}\``}`,
    };
  }
  if (Number(match[1]) < MOST_INTERFACES) return undefined;
  return {
    message: `a guest has at most ${MOST_INTERFACES} interfaces`,
    hint: `the last is \`eth${MOST_INTERFACES - 1}\``,
  };
}

function examineEnd(text: string): Wrong | undefined {
  const end = splitEnd(text);
  if (!/^[A-Za-z0-9_.-]+$/.test(end.name)) {
    return {
      message: `\`${text}\` is not an end of a link`,
      hint: "write `guest`, `guest:eth0`, `guest:eth0=10.0.1.10/24` or a switch's name",
    };
  }
  const range = parseRange(end.name);
  if (range !== undefined) {
    const wrong = examineName(end.name.toLowerCase());
    if (wrong !== undefined) return wrong;
  }
  if (end.address !== undefined && end.interface === undefined) {
    return {
      message: `\`${text}\` gives an address to no interface`,
      hint: `write \`${end.name}:eth0=${end.address}\``,
    };
  }
  if (end.interface !== undefined) {
    const wrong = examineInterface(end.interface);
    if (wrong !== undefined) return { ...wrong, index: end.interfaceIndex };
  }
  if (end.address === undefined) return undefined;
  if (range !== undefined) {
    return {
      message: `\`${text}\` gives one address to ${expand(end.name).length} guests`,
      hint: "leave the address out, and give the switch or the link a `subnet`",
    };
  }
  const wrong = examineInterfaceAddress(end.address);
  if (wrong === undefined) return undefined;
  return { ...wrong, index: end.addressIndex, code: "BAD_ADDRESS" };
}

/** `a -> b` or `a <-> b`, taken apart. */
export interface PairText {
  readonly left: string;
  readonly right: string;
  readonly both: boolean;
  readonly rightIndex: number;
  readonly leftIndex: number;
}

export function splitPair(text: string): PairText | undefined {
  const match = /^(\s*)(\S+?)(\s*(<->|->)\s*)(\S+)\s*$/.exec(text);
  if (match === null) return undefined;
  const [, space = "", left = "", arrow = "", sign = "", right = ""] = match;
  if (/[<>]/.test(left + right)) return undefined;
  return {
    left,
    right,
    both: sign === "<->",
    leftIndex: space.length,
    rightIndex: space.length + left.length + arrow.length,
  };
}

function examinePairs(text: string): Wrong | undefined {
  const pair = splitPair(text);
  const hint = "write `alice -> bob`, `alice <-> bob`, `h1..9 -> server` or `* -> *`";
  if (pair === undefined) return { message: `\`${text}\` is not a pair of guests`, hint };
  const sides = [
    [pair.left, pair.leftIndex],
    [pair.right, pair.rightIndex],
  ] as const;
  for (const [side, index] of sides) {
    if (side === "*") continue;
    if (!/^[A-Za-z0-9_.-]+$/.test(side))
      return { message: `\`${side}\` is not a guest`, hint, index };
    if (parseRange(side) !== undefined) {
      const wrong = examineName(side.toLowerCase());
      if (wrong !== undefined) return { ...wrong, index };
    }
  }
  return undefined;
}

const unit = (
  parse: (text: string) => number | undefined,
  what: string,
  example: string,
  units: readonly string[],
) => {
  return (text: string): Wrong | undefined => {
    if (parse(text) !== undefined) return undefined;
    const match = /^\s*(\d+(?:[.,]\d+)?)\s*([^\d\s].*)?$/.exec(text);
    const number = match?.[1]?.replace(",", ".");
    const written = match?.[2]?.trim();
    const hint = `write for instance ${example}`;
    const not = { message: `\`${text}\` is not ${what}`, hint };
    if (number === undefined) return not;
    const suggest = (unitName: string) =>
      parse(`${number}${unitName}`) === undefined
        ? not
        : {
            message: `\`${text}\` is not ${what}; did you mean \`${number}${unitName}\`?`,
            hint,
          };
    if (written === undefined) return suggest(units[0] as string);
    if (parse(`${number}${written}`) !== undefined) return suggest(written);
    const aliased = UNIT_ALIASES[written.toLowerCase()];
    const meant =
      units.find((u) => u === aliased) ??
      units.find((u) => u.toLowerCase() === written.toLowerCase()) ??
      closest(written, units);
    return meant === undefined ? not : suggest(meant);
  };
};

const UNIT_ALIASES: Readonly<Record<string, string>> = {
  msec: "ms",
  msecs: "ms",
  millis: "ms",
  milliseconds: "ms",
  sec: "s",
  secs: "s",
  second: "s",
  seconds: "s",
  min: "m",
  mins: "m",
  minutes: "m",
  µs: "us",
  usec: "us",
  mbps: "Mbit",
  "mb/s": "Mbit",
  "mbit/s": "Mbit",
  gbps: "Gbit",
  "gbit/s": "Gbit",
  kbps: "kbit",
  "kbit/s": "kbit",
  mbits: "Mbit",
  m: "Mbit",
  g: "Gbit",
  k: "kbit",
  bps: "bit",
  percent: "%",
};

const examineDuration = unit(parseDurationNs, "a duration", "`10ms`, `1.5s` or `200us`", [
  "ms",
  "s",
  "us",
  "ns",
  "m",
  "h",
]);
const examineRate = unit(
  (text) => parseBitsPerSecond(text) || undefined,
  "a rate",
  "`10Mbit` or `1Gbit`",
  ["Mbit", "Gbit", "kbit", "bit", "Tbit"],
);
const examineFraction = unit(parseFraction, "a percentage from 0% to 100%", "`1%` or `0.1%`", [
  "%",
]);
const examineBytes = unit((text) => parseBytes(text) || undefined, "a size", "`48M` or `1G`", [
  "M",
  "G",
  "K",
  "T",
  "B",
]);

const bound = (examine: (text: string) => Wrong | undefined, example: string) => (text: string) => {
  const match = /^\s*(>=|<=|>|<|==?)\s*(\S+)\s*$/.exec(text);
  if (match === null)
    return { message: `\`${text}\` is not a bound`, hint: `write for instance \`${example}\`` };
  return examine(match[2] as string);
};

const matches =
  (pattern: RegExp, what: string, hint: string) =>
  (text: string): Wrong | undefined =>
    pattern.test(text) ? undefined : { message: `\`${text}\` is not ${what}`, hint };

const IMAGES = ["base", "router", "host"];

function examineImage(text: string): Wrong | undefined {
  if (IMAGES.includes(text)) return undefined;
  if (/^(docker|dir|file):.+$/.test(text)) return undefined;
  if (/^packages:\[\s*[a-z0-9][a-z0-9+.-]*(\s*,\s*[a-z0-9][a-z0-9+.-]*)*\s*\]$/.test(text))
    return undefined;
  const near = closest(text, IMAGES);
  return {
    message: `unknown image \`${text}\`${near === undefined ? "" : `; did you mean \`${near}\`?`}`,
    hint: "images are `base`, `router`, `host`, `docker:REF`, `dir:PATH`, `file:PATH` and `packages:[a, b]`",
  };
}

function examinePort(text: string): Wrong | undefined {
  const match = /^(\d{1,5}):(\d{1,5})(\/(tcp|udp))?$/.exec(text);
  const right = (port: string | undefined) => Number(port) >= 1 && Number(port) <= 65535;
  if (match !== null && right(match[1]) && right(match[2])) return undefined;
  return {
    message: `\`${text}\` is not a port to forward`,
    hint: "write host port and guest port, each 1 to 65535: `8080:80` or `5353:53/udp`",
  };
}

function examineOutput(text: string): Wrong | undefined {
  const flags = /^\/(.+)\/([a-z]+)$/.exec(text);
  if (flags !== null && /^[dgimsuvy]+$/.test(flags[2] as string)) {
    return {
      message: `\`${text}\` has flags after the regular expression`,
      hint: "there are no flags: write `[Hh]ello` for letters of either case; for a plain text that looks so, leave its first character away",
    };
  }
  const pattern = regexpOf(text);
  if (pattern === undefined) return undefined;
  try {
    new RegExp(pattern, "m");
    return undefined;
  } catch (error) {
    return {
      message: `\`${text}\` is not a regular expression: ${(error as Error).message.replace(/^.*: /s, "").toLowerCase()}`,
      hint: "escape what is meant literally (`\\(`), or leave the slashes away for a plain text",
    };
  }
}

/** The regular expression between slashes, or undefined for a plain text. */
export function regexpOf(text: string): string | undefined {
  return /^\/(.+)\/$/s.exec(text)?.[1];
}

function examineMac(text: string): Wrong | undefined {
  const bytes = parseMac(text);
  const hint = "write six bytes in hexadecimal, the first even: `02:00:00:00:00:01`";
  if (bytes === undefined) return { message: `\`${text}\` is not a MAC address`, hint };
  if (((bytes[0] as number) & 1) === 1) {
    return { message: `\`${text}\` is a group address: no interface can have it`, hint };
  }
  return bytes.every((byte) => byte === 0)
    ? { message: `\`${text}\` is no interface's address`, hint }
    : undefined;
}

function examineGuestPath(text: string): Wrong | undefined {
  const parts = text.split("/");
  if (
    text.startsWith("/") &&
    !text.endsWith("/") &&
    !text.includes("\0") &&
    !parts.includes("..")
  ) {
    return undefined;
  }
  return {
    message: `\`${text}\` is not the path of a file in the guest`,
    hint: "write all of it, from the root on: `/etc/motd`",
  };
}

/** linux: net/core/dev.c, dev_valid_name: 15 bytes. What it allows besides helps nobody. */
function examineHostInterface(text: string): Wrong | undefined {
  if (text.length > 15) {
    return {
      message: `\`${text}\` is too long for an interface: it has ${text.length} characters`,
      hint: "an interface's name has at most 15",
    };
  }
  if (/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(text)) return undefined;
  return {
    message: `\`${text}\` is not an interface's name`,
    hint: "write the name of a TAP of this machine, such as `tap0`: letters, digits, `_`, `-` and `.`",
  };
}

export const KINDS: Readonly<Record<string, Kind>> = {
  labName: {
    code: "BAD_VALUE",
    examine: matches(
      /^[a-z][a-z0-9-]{0,39}$/,
      "a lab's name",
      "it has lower-case letters, digits and hyphens, begins with a letter and has at most 40 characters",
    ),
  },
  name: { code: "BAD_VALUE", examine: examineName },
  linkName: {
    code: "BAD_VALUE",
    examine: matches(
      /^[A-Za-z][A-Za-z0-9_.-]{0,60}$/,
      "a link's name",
      "it has letters, digits, `-`, `_` and `.`, and begins with a letter",
    ),
  },
  end: { code: "BAD_VALUE", examine: examineEnd },
  pairs: { code: "BAD_VALUE", examine: examinePairs },
  interface: { code: "BAD_VALUE", examine: examineInterface },
  hostInterface: { code: "BAD_VALUE", examine: examineHostInterface },
  interfaceAddress: { code: "BAD_ADDRESS", examine: examineInterfaceAddress },
  address: { code: "BAD_ADDRESS", examine: examineAddress },
  subnet: { code: "BAD_ADDRESS", examine: examineSubnet(4) },
  subnet6: { code: "BAD_ADDRESS", examine: examineSubnet(6) },
  route: {
    code: "BAD_ADDRESS",
    examine: (text) => {
      const route = readRoute(text);
      return isWrong(route) ? route : undefined;
    },
  },
  mac: { code: "BAD_ADDRESS", examine: examineMac },
  duration: { code: "BAD_VALUE", examine: examineDuration },
  rate: { code: "BAD_VALUE", examine: examineRate },
  percentage: { code: "BAD_VALUE", examine: examineFraction },
  size: { code: "BAD_VALUE", examine: examineBytes },
  rateBound: { code: "BAD_VALUE", examine: bound(examineRate, ">= 8Mbit") },
  durationBound: { code: "BAD_VALUE", examine: bound(examineDuration, "<= 50ms") },
  percentageBound: { code: "BAD_VALUE", examine: bound(examineFraction, "<= 1%") },
  countBound: {
    code: "BAD_VALUE",
    examine: bound(matches(/^\d+$/, "a number", "write for instance `>= 3`"), ">= 3"),
  },
  listenPort: {
    code: "BAD_VALUE",
    examine: matches(/^\d{1,5}(\/(tcp|udp))?$/, "a port", "write `80` or `53/udp`"),
  },
  image: { code: "BAD_VALUE", examine: examineImage },
  port: { code: "BAD_VALUE", examine: examinePort },
  output: { code: "BAD_VALUE", examine: examineOutput },
  mode: {
    code: "BAD_VALUE",
    examine: matches(
      /^(0o?)?[0-7]{3,4}$/,
      "a file's mode",
      "write permission bits in octal: `644` or `755`",
    ),
  },
  guestPath: { code: "BAD_VALUE", examine: examineGuestPath },
  sysctl: {
    code: "BAD_VALUE",
    examine: matches(
      /^(?!.*\.\.)[a-zA-Z0-9_]+([./][a-zA-Z0-9_.:-]+)+$/,
      "a sysctl",
      "write for instance `net.ipv4.ip_forward`",
    ),
  },
  variable: {
    code: "BAD_VALUE",
    examine: matches(
      /^[A-Za-z_][A-Za-z0-9_]*$/,
      "a variable's name",
      "it has letters, digits and `_`, and begins with no digit",
    ),
  },
};

export { isWrong };
