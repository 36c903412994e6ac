/**
 * MAC, IPv4 and IPv6 addresses and prefixes as plain values. An IP address is a bigint and a
 * family; text comes out canonical (RFC 5952 for IPv6).
 */

export type Family = 4 | 6;

export interface IpAddress {
  readonly family: Family;
  readonly value: bigint;
}

/** An address with its prefix length: what an interface has (`10.0.1.10/24`). */
export interface InterfaceAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
}

export const bitsOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

export function parseIpv4(text: string): IpAddress | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  let value = 0n;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return { family: 4, value };
}

/** RFC 4291 §2.2, with `::` and a trailing dotted quad; no zone. */
export function parseIpv6(text: string): IpAddress | undefined {
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(text)) return undefined;
  let source = text;
  const lastColon = source.lastIndexOf(":");
  if (source.includes(".")) {
    const v4 = parseIpv4(source.slice(lastColon + 1));
    if (v4 === undefined || lastColon < 0) return undefined;
    const high = (v4.value >> 16n).toString(16);
    const low = (v4.value & 0xffffn).toString(16);
    source = `${source.slice(0, lastColon + 1)}${high}:${low}`;
  }
  const halves = source.split("::");
  if (halves.length > 2) return undefined;
  const groupsOf = (half: string | undefined) => (half ? half.split(":") : []);
  const head = groupsOf(halves[0]);
  const tail = groupsOf(halves[1]);
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<string>(missing).fill("0"), ...tail];
  let value = 0n;
  for (const group of groups) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
    value = (value << 16n) | BigInt(`0x${group}`);
  }
  return { family: 6, value };
}

export function parseIp(text: string): IpAddress | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** `10.0.1.10/24` or `2001:db8::1/64`. Undefined without a prefix length. */
export function parseInterfaceAddress(text: string): InterfaceAddress | undefined {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  if (match === null) return undefined;
  const address = parseIp(match[1] as string);
  const prefixLength = Number(match[2]);
  if (address === undefined || prefixLength > bitsOf(address.family)) return undefined;
  return { address, prefixLength };
}

export function formatIp({ family, value }: IpAddress): string {
  if (family === 4) {
    return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join(".");
  }
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
  );
  // RFC 5952 §4.2: the longest run of two or more zero groups, the first of equals.
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === "0") length++;
    if (length > best.length) best = { start, length };
  }
  if (best.start < 0) return groups.join(":");
  const head = groups.slice(0, best.start).join(":");
  const tail = groups.slice(best.start + best.length).join(":");
  return `${head}::${tail}`;
}

export function formatInterfaceAddress({ address, prefixLength }: InterfaceAddress): string {
  return `${formatIp(address)}/${prefixLength}`;
}

/** The subnet an address stands in: same prefix length, host bits zero. */
export function networkOf({ address, prefixLength }: InterfaceAddress): InterfaceAddress {
  const hostBits = BigInt(bitsOf(address.family) - prefixLength);
  return {
    address: { family: address.family, value: (address.value >> hostBits) << hostBits },
    prefixLength,
  };
}

export function contains(network: InterfaceAddress, address: IpAddress): boolean {
  if (network.address.family !== address.family) return false;
  const hostBits = BigInt(bitsOf(address.family) - network.prefixLength);
  return network.address.value >> hostBits === address.value >> hostBits;
}

/** `02:00:5e:10:00:01` to 6 bytes. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) return undefined;
  return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}
