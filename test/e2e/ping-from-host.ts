/**
 * A program: `node ping-from-host.js ADDRESS COUNT` sends echo requests (IPv4) by a raw socket, one after
 * the other, and prints how many were answered. Not every machine has a ping.
 */

import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const socket = libc.func("int socket(int domain, int type, int protocol)");
const setsockopt = libc.func(
  "int setsockopt(int fd, int level, int option, const void *value, unsigned int length)",
);
const sendto = libc.func(
  "int64 sendto(int fd, const void *bytes, size_t length, int flags, const void *to, unsigned int toLength)",
);
const recv = libc.func("int64 recv(int fd, void *bytes, size_t length, int flags)");

const [AF_INET, SOCK_RAW, IPPROTO_ICMP, SOL_SOCKET, SO_RCVTIMEO] = [2, 3, 1, 1, 20];
const ECHO_REPLY = 0;
const ECHO_REQUEST = 8;

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const [address = "", count = "1"] = process.argv.slice(2);
const fd: number = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
if (fd < 0) throw new Error(`no raw socket: errno ${koffi.errno()}`);
const timeout = Buffer.alloc(16); // struct timeval: one second
timeout.writeBigInt64LE(1n);
setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, timeout.length);
const to = Buffer.alloc(16);
to.writeUInt16LE(AF_INET);
to.set(address.split(".").map(Number), 4);

let answered = 0;
for (let sequence = 1; sequence <= Number(count); sequence++) {
  const request = Buffer.alloc(64);
  request[0] = ECHO_REQUEST;
  request.writeUInt16BE(process.pid & 0xffff, 4);
  request.writeUInt16BE(sequence, 6);
  for (let i = 8; i < request.length; i++) request[i] = (i * sequence) & 0xff;
  request.writeUInt16BE(checksum(request), 2);
  sendto(fd, request, request.length, 0, to, to.length);
  const packet = Buffer.alloc(1500);
  for (let got = recv(fd, packet, packet.length, 0); got > 0; ) {
    const reply = packet.subarray(20, Number(got));
    if (reply[0] === ECHO_REPLY && reply.subarray(4).equals(request.subarray(4))) {
      answered++;
      break;
    }
    got = recv(fd, packet, packet.length, 0);
  }
}
console.log(answered);
