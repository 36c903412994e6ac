/**
 * Messages for the routing socket of the guest's kernel (rtnetlink(7)), and its answers.
 * linux: include/uapi/linux/{netlink,rtnetlink,if_link,if_addr}.h
 */

import { type InterfaceAddress, type IpAddress, parseMac } from "../../base/addresses.ts";

const HEADER_BYTES = 16;

const NLMSG_ERROR = 2;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;

const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_DUMP = 0x300;
const NLM_F_REPLACE = 0x100;
const NLM_F_CREATE = 0x400;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFF_UP = 0x1;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
/** Usable at once: no duplicate address detection. */
const IFA_F_NODAD = 0x02;

const RTA_DST = 1;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RTN_UNICAST = 1;
// Of a route to delete: any.
const RTPROT_UNSPEC = 0;
const RT_SCOPE_NOWHERE = 255;
const RTN_UNSPEC = 0;

const AF_INET = 2;
const AF_INET6 = 10;

const familyOf = ({ family }: IpAddress) => (family === 4 ? AF_INET : AF_INET6);

function bytesOf({ family, value }: IpAddress): Buffer {
  const length = family === 4 ? 4 : 16;
  return Buffer.from(value.toString(16).padStart(2 * length, "0"), "hex");
}

function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc((4 + value.length + 3) & ~3);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function message(type: number, flags: number, sequence: number, parts: Uint8Array[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const bytes = Buffer.concat([header, ...parts]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(NLM_F_REQUEST | flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  return bytes;
}

/** struct ifinfomsg. */
function linkHeader(index: number, flags: number, change: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(change, 12);
  return bytes;
}

/** Asks for all interfaces. */
export function dumpLinks(): Buffer {
  return message(RTM_GETLINK, NLM_F_DUMP, 0, [linkHeader(0, 0, 0)]);
}

/** Sets an interface's MTU and puts it up. */
export function setLinkUp(sequence: number, index: number, mtu: number): Buffer {
  return message(RTM_NEWLINK, NLM_F_ACK, sequence, [
    linkHeader(index, IFF_UP, IFF_UP),
    attribute(IFLA_MTU, u32(mtu)),
  ]);
}

/** Renames an interface, which must be down. */
export function renameLink(sequence: number, index: number, name: string): Buffer {
  return message(RTM_NEWLINK, NLM_F_ACK, sequence, [
    linkHeader(index, 0, 0),
    attribute(IFLA_IFNAME, Buffer.from(`${name}\0`)),
  ]);
}

export function addAddress(
  sequence: number,
  index: number,
  { address, prefixLength }: InterfaceAddress,
): Buffer {
  const flags = address.family === 6 ? IFA_F_NODAD : 0;
  const parts = addressParts(index, { address, prefixLength }, flags);
  if (address.family === 4 && prefixLength < 31) {
    const hostMask = (1n << BigInt(32 - prefixLength)) - 1n;
    const broadcast = { family: 4 as const, value: address.value | hostMask };
    parts.push(attribute(IFA_BROADCAST, bytesOf(broadcast)));
  }
  return message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, sequence, parts);
}

export function removeAddress(sequence: number, index: number, address: InterfaceAddress): Buffer {
  return message(RTM_DELADDR, NLM_F_ACK, sequence, addressParts(index, address, 0));
}

/** struct ifaddrmsg, and the address. */
function addressParts(
  index: number,
  { address, prefixLength }: InterfaceAddress,
  flags: number,
): Buffer[] {
  const header = Buffer.alloc(8);
  header[0] = familyOf(address);
  header[1] = prefixLength;
  header[2] = flags;
  header.writeUInt32LE(index, 4);
  const value = bytesOf(address);
  return [header, attribute(IFA_LOCAL, value), attribute(IFA_ADDRESS, value)];
}

/** A route through a neighbour; the kernel finds the interface. `to` undefined: the default. */
export function addRoute(
  sequence: number,
  to: InterfaceAddress | undefined,
  via: IpAddress,
): Buffer {
  const kind = { protocol: RTPROT_STATIC, scope: RT_SCOPE_UNIVERSE, type: RTN_UNICAST };
  const flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
  return message(RTM_NEWROUTE, flags, sequence, routeParts(to, via, kind));
}

/** Whoever made it. */
export function removeRoute(
  sequence: number,
  to: InterfaceAddress | undefined,
  via: IpAddress,
): Buffer {
  const kind = { protocol: RTPROT_UNSPEC, scope: RT_SCOPE_NOWHERE, type: RTN_UNSPEC };
  return message(RTM_DELROUTE, NLM_F_ACK, sequence, routeParts(to, via, kind));
}

/** struct rtmsg, and where it leads. */
function routeParts(
  to: InterfaceAddress | undefined,
  via: IpAddress,
  kind: { readonly protocol: number; readonly scope: number; readonly type: number },
): Buffer[] {
  const header = Buffer.alloc(12);
  header[0] = familyOf(via);
  header[1] = to?.prefixLength ?? 0;
  header[4] = RT_TABLE_MAIN;
  header[5] = kind.protocol;
  header[6] = kind.scope;
  header[7] = kind.type;
  const network = to === undefined ? [] : [attribute(RTA_DST, bytesOf(to.address))];
  return [header, ...network, attribute(RTA_GATEWAY, bytesOf(via))];
}

interface Message {
  readonly type: number;
  readonly sequence: number;
  readonly body: Buffer;
}

/** Cuts an answer into messages; what is malformed at the end is left out. */
function* messagesOf(bytes: Uint8Array): Generator<Message> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + HEADER_BYTES <= buffer.length; ) {
    const length = buffer.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > buffer.length) return;
    yield {
      type: buffer.readUInt16LE(at + 4),
      sequence: buffer.readUInt32LE(at + 8),
      body: buffer.subarray(at + HEADER_BYTES, at + length),
    };
    at += (length + 3) & ~3;
  }
}

/** Error numbers by sequence number: 0 for what was done. */
export function parseAcknowledgements(bytes: Uint8Array): Map<number, number> {
  const errors = new Map<number, number>();
  for (const { type, sequence, body } of messagesOf(bytes)) {
    if (type === NLMSG_ERROR && body.length >= 4) errors.set(sequence, -body.readInt32LE(0));
  }
  return errors;
}

export interface GuestLink {
  readonly index: number;
  readonly name: string;
  /** As text, `02:…`. */
  readonly mac: string;
}

/** The answer to `dumpLinks`. */
export function parseLinks(bytes: Uint8Array): GuestLink[] {
  const links: GuestLink[] = [];
  for (const { type, body } of messagesOf(bytes)) {
    if (type !== RTM_NEWLINK || body.length < 16) continue;
    let name = "";
    let mac = "";
    for (let at = 16; at + 4 <= body.length; ) {
      const length = body.readUInt16LE(at);
      if (length < 4 || at + length > body.length) break;
      const value = body.subarray(at + 4, at + length);
      const kind = body.readUInt16LE(at + 2);
      if (kind === IFLA_IFNAME) name = value.toString("latin1").replace(/\0.*$/s, "");
      if (kind === IFLA_ADDRESS) {
        mac = Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join(":");
      }
      at += (length + 3) & ~3;
    }
    links.push({ index: body.readInt32LE(4), name, mac });
  }
  return links;
}

/** True where two MAC addresses are the same, however they are written. */
export function sameMac(a: string, b: string): boolean {
  const [x, y] = [parseMac(a), parseMac(b)];
  return x !== undefined && y !== undefined && Buffer.compare(x, y) === 0;
}
