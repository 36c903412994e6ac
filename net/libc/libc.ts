/**
 * The few calls of the C library that Node lacks: unix sockets that carry descriptors, mmap,
 * eventfd, epoll. Every function throws a `SystemCallError` with errno's name, except those whose
 * "try again" is an ordinary answer: they return -1 for EAGAIN.
 *
 * Descriptors are plain numbers; int64 arguments and results are plain numbers as well (below
 * 2^53). A call costs about 50 ns.
 */

import { constants as os } from "node:os";
import koffi from "koffi";

const libc = koffi.load("libc.so.6");

// linux: include/uapi/asm-generic/*.h, x86-64
export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_NORESERVE = 0x4000;
export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLET = 0x80000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;

const errnoNames = new Map(Object.entries(os.errno).map(([name, value]) => [value, name]));

export class SystemCallError extends Error {
  readonly errno: string;
  constructor(call: string, errno: number) {
    const name = errnoNames.get(errno) ?? String(errno);
    super(`${call}: ${name}`);
    this.errno = name;
  }
}

function check(call: string, result: number): number {
  if (result === -1) throw new SystemCallError(call, koffi.errno());
  return result;
}

/** -1 for "not now", the result otherwise. */
function checkAgain(call: string, result: number): number {
  if (result !== -1) return result;
  const errno = koffi.errno();
  if (errno === os.errno.EAGAIN || errno === os.errno.EINTR) return -1;
  throw new SystemCallError(call, errno);
}

const functions = {
  socket: libc.func("int socket(int domain, int type, int protocol)"),
  bind: libc.func("int bind(int fd, const void *address, unsigned int length)"),
  listen: libc.func("int listen(int fd, int backlog)"),
  accept4: libc.func("int accept4(int fd, void *address, void *length, int flags)"),
  connect: libc.func("int connect(int fd, const void *address, unsigned int length)"),
  recvmsg: libc.func("int64 recvmsg(int fd, void *message, int flags)"),
  sendmsg: libc.func("int64 sendmsg(int fd, const void *message, int flags)"),
  read: libc.func("int64 read(int fd, void *buffer, size_t length)"),
  write: libc.func("int64 write(int fd, const void *buffer, size_t length)"),
  writeAt: libc.func("int64 write(int fd, int64 address, size_t length)"),
  close: libc.func("int close(int fd)"),
  fcntl: libc.func("int fcntl(int fd, int command, long argument)"),
  mmap: libc.func(
    "int64 mmap(int64 address, size_t length, int protection, int flags, int fd, int64 offset)",
  ),
  munmap: libc.func("int munmap(int64 address, size_t length)"),
  memcpy: libc.func("void *memcpy(int64 to, int64 from, size_t length)"),
  eventfd: libc.func("int eventfd(unsigned int initial, int flags)"),
  epoll_create1: libc.func("int epoll_create1(int flags)"),
  epoll_ctl: libc.func("int epoll_ctl(int epoll, int operation, int fd, void *event)"),
  epoll_wait: libc.func("int epoll_wait(int epoll, void *events, int most, int timeoutMs)"),
  timerfd_create: libc.func("int timerfd_create(int clock, int flags)"),
  timerfd_settime: libc.func(
    "int timerfd_settime(int fd, int flags, const void *value, void *before)",
  ),
  ftruncate: libc.func("int ftruncate(int fd, int64 length)"),
  memfd_create: libc.func("int memfd_create(const char *name, unsigned int flags)"),
  // variadic in C; on x86-64 integers and pointers are passed the same way
  ioctl: libc.func("int ioctl(int fd, unsigned long request, void *argument)"),
  ioctlNumber: libc.func("ioctl", "int", ["int", "unsigned long", "unsigned long"]),
  if_nametoindex: libc.func("unsigned int if_nametoindex(const char *name)"),
};

export function close(fd: number): void {
  check("close", functions.close(fd));
}

export function setNonBlocking(fd: number): void {
  const flags = check("fcntl", functions.fcntl(fd, F_GETFL, 0));
  check("fcntl", functions.fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

/** The longest path that fits into a sockaddr_un (its terminating zero included in the 108). */
export const LONGEST_SOCKET_PATH = 107;

function unixAddress(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length > LONGEST_SOCKET_PATH) {
    throw new Error(`the path of a unix socket is longer than ${LONGEST_SOCKET_PATH}: ${path}`);
  }
  const address = Buffer.alloc(2 + bytes.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}

/** A listening unix stream socket, non-blocking. The path must not exist. */
export function listenUnix(path: string): number {
  const fd = check(
    "socket",
    functions.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
  );
  try {
    const address = unixAddress(path);
    check("bind", functions.bind(fd, address, address.length));
    check("listen", functions.listen(fd, 4));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** A non-blocking connection, or -1 where none waits. */
export function accept(fd: number): number {
  return checkAgain("accept4", functions.accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

/** A connected unix stream socket, blocking. */
export function connectUnix(path: string): number {
  const fd = check("socket", functions.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const address = unixAddress(path);
  try {
    check("connect", functions.connect(fd, address, address.length));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Bytes read, 0 at the end, -1 for not now. */
export function read(fd: number, buffer: Uint8Array, length = buffer.length): number {
  return checkAgain("read", functions.read(fd, buffer, length));
}

/** Bytes written, -1 for not now. */
export function write(fd: number, buffer: Uint8Array, length = buffer.length): number {
  return checkAgain("write", functions.write(fd, buffer, length));
}

/** What an eventfd is written, and a vhost-user call on whatever descriptor. */
const ONE = new Uint8Array(new ArrayBuffer(8));
ONE[0] = 1;
/**
 * Found once: looking a buffer up takes a third of a call that comes after a pause. A buffer that is
 * made of an ArrayBuffer stays where it is; a short one of its own might not.
 */
const ONE_AT = Number(koffi.address(ONE));

/** Wakes who waits at the descriptor: adds 1 to an eventfd, or sends that 1. Nothing where it is full. */
export function signal(fd: number): void {
  checkAgain("write", functions.writeAt(fd, ONE_AT, ONE.length));
}

/** Bytes written; -errno where it failed. Throws nothing: for who is refused often. */
export function tryWrite(fd: number, buffer: Uint8Array, length: number): number {
  const wrote = functions.write(fd, buffer, length);
  return wrote === -1 ? -koffi.errno() : wrote;
}

/** @param argument a structure, read and written; or a number. */
export function ioctl(fd: number, request: number, argument: Uint8Array | number): void {
  const result =
    typeof argument === "number"
      ? functions.ioctlNumber(fd, request, argument)
      : functions.ioctl(fd, request, argument);
  check("ioctl", result);
}

/** Whether this network namespace has an interface of this name. */
export function hasInterface(name: string): boolean {
  return functions.if_nametoindex(name) !== 0;
}

// struct msghdr: name, namelen, iov, iovlen, control, controllen, flags; struct cmsghdr: len, level, type
const MSGHDR_BYTES = 56;
const CMSG_HEADER_BYTES = 16;
const MOST_DESCRIPTORS = 8;

/** Messages with descriptors over a unix socket; one object a thread, its buffers are reused. */
class DescriptorChannel {
  readonly #header = Buffer.alloc(MSGHDR_BYTES);
  readonly #iov = Buffer.alloc(16);
  readonly #control = Buffer.alloc(CMSG_HEADER_BYTES + 4 * MOST_DESCRIPTORS);

  #prepare(buffer: Uint8Array, length: number, controlBytes: number): void {
    this.#iov.writeBigUInt64LE(koffi.address(buffer), 0);
    this.#iov.writeBigUInt64LE(BigInt(length), 8);
    this.#header.fill(0);
    this.#header.writeBigUInt64LE(koffi.address(this.#iov), 16);
    this.#header.writeBigUInt64LE(1n, 24);
    if (controlBytes > 0) {
      this.#header.writeBigUInt64LE(koffi.address(this.#control), 32);
      this.#header.writeBigUInt64LE(BigInt(controlBytes), 40);
    }
  }

  /** Bytes received (0: the end; -1: not now); descriptors that came along are pushed to `fds`. */
  receive(fd: number, buffer: Uint8Array, fds: number[]): number {
    this.#prepare(buffer, buffer.length, this.#control.length);
    const got = checkAgain(
      "recvmsg",
      functions.recvmsg(fd, this.#header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC),
    );
    if (got < 0) return got;
    const controlBytes = Number(this.#header.readBigUInt64LE(40));
    if (controlBytes >= CMSG_HEADER_BYTES) {
      const length = Number(this.#control.readBigUInt64LE(0));
      const isRights =
        this.#control.readInt32LE(8) === SOL_SOCKET && this.#control.readInt32LE(12) === SCM_RIGHTS;
      for (let at = CMSG_HEADER_BYTES; isRights && at + 4 <= length; at += 4) {
        fds.push(this.#control.readInt32LE(at));
      }
    }
    return got;
  }

  /** Bytes sent, -1 for not now. */
  send(fd: number, buffer: Uint8Array, fds: readonly number[] = []): number {
    const controlBytes = fds.length === 0 ? 0 : CMSG_HEADER_BYTES + 4 * fds.length;
    this.#prepare(buffer, buffer.length, controlBytes);
    if (fds.length > 0) {
      this.#control.writeBigUInt64LE(BigInt(controlBytes), 0);
      this.#control.writeInt32LE(SOL_SOCKET, 8);
      this.#control.writeInt32LE(SCM_RIGHTS, 12);
      fds.forEach((passed, index) => {
        this.#control.writeInt32LE(passed, CMSG_HEADER_BYTES + 4 * index);
      });
    }
    return checkAgain("sendmsg", functions.sendmsg(fd, this.#header, MSG_NOSIGNAL | MSG_DONTWAIT));
  }
}

export const descriptors: DescriptorChannel = new DescriptorChannel();

export function mmap(
  address: number,
  length: number,
  protection: number,
  flags: number,
  fd: number,
  offset: number,
): number {
  return check("mmap", functions.mmap(address, length, protection, flags, fd, offset));
}

export function munmap(address: number, length: number): void {
  check("munmap", functions.munmap(address, length));
}

/** Copies between addresses of this process; the caller answers for both ranges. */
export function memcpy(to: number, from: number, length: number): void {
  functions.memcpy(to, from, length);
}

/** The memory at an address as an ArrayBuffer, without a copy. */
export function viewOf(address: number, length: number): ArrayBuffer {
  return koffi.view(BigInt(address), length);
}

export function eventfd(): number {
  return check("eventfd", functions.eventfd(0, O_NONBLOCK | SOCK_CLOEXEC));
}

export function memfd(name: string, bytes: number): number {
  const fd = check("memfd_create", functions.memfd_create(name, 1));
  check("ftruncate", functions.ftruncate(fd, bytes));
  return fd;
}

const CLOCK_MONOTONIC = 1;
const timerValue = Buffer.alloc(32); // struct itimerspec: interval and value, i64 s and i64 ns each
const timerView = new DataView(timerValue.buffer, timerValue.byteOffset);

/** A timer that is readable when it rang. */
export function timer(): number {
  // TFD_NONBLOCK and TFD_CLOEXEC have the values of O_NONBLOCK and SOCK_CLOEXEC
  return check(
    "timerfd_create",
    functions.timerfd_create(CLOCK_MONOTONIC, O_NONBLOCK | SOCK_CLOEXEC),
  );
}

/** Lets it ring once, `ns` from now (at least 1). */
export function setTimer(fd: number, ns: number): void {
  const whole = Math.max(1, Math.ceil(ns));
  const seconds = Math.floor(whole / 1e9);
  timerView.setInt32(16, seconds, true);
  timerView.setInt32(24, whole - seconds * 1e9, true);
  check("timerfd_settime", functions.timerfd_settime(fd, 0, timerValue, null));
}

const EVENT_BYTES = 12; // struct epoll_event is packed on x86-64: u32 events, u64 data
const MOST_EVENTS = 256;

/** An epoll instance. `wait` fills `tags` and `events`, and allocates nothing. */
export class Epoll {
  readonly #fd = check("epoll_create1", functions.epoll_create1(SOCK_CLOEXEC));
  readonly #events = Buffer.alloc(EVENT_BYTES * MOST_EVENTS);
  readonly #view = new DataView(this.#events.buffer, this.#events.byteOffset);
  readonly #one = Buffer.alloc(EVENT_BYTES);
  readonly tags = new Uint32Array(MOST_EVENTS);
  readonly events = new Uint32Array(MOST_EVENTS);

  #control(operation: number, fd: number, events: number, tag: number): void {
    this.#one.writeUInt32LE(events >>> 0, 0);
    this.#one.writeUInt32LE(tag, 4);
    this.#one.writeUInt32LE(0, 8);
    check("epoll_ctl", functions.epoll_ctl(this.#fd, operation, fd, this.#one));
  }

  /** @param tag any 32-bit number; it comes back with the events. */
  add(fd: number, events: number, tag: number): void {
    this.#control(EPOLL_CTL_ADD, fd, events, tag);
  }

  modify(fd: number, events: number, tag: number): void {
    this.#control(EPOLL_CTL_MOD, fd, events, tag);
  }

  remove(fd: number): void {
    this.#control(EPOLL_CTL_DEL, fd, 0, 0);
  }

  /** How many events came within `timeoutMs` (-1: as long as it takes). */
  wait(timeoutMs: number): number {
    const count = checkAgain(
      "epoll_wait",
      functions.epoll_wait(this.#fd, this.#events, MOST_EVENTS, timeoutMs),
    );
    for (let i = 0; i < count; i++) {
      this.events[i] = this.#view.getUint32(i * EVENT_BYTES, true);
      this.tags[i] = this.#view.getUint32(i * EVENT_BYTES + 4, true);
    }
    return Math.max(count, 0);
  }
}
