/**
 * The framed protocol between the supervisor and the agent in a guest, over one serial line: a
 * reliable stream of bytes both ways. `protocol.h` mirrors the numbers (a test compares them).
 *
 * A frame (little endian):
 *
 *     u16 channel | u8 type | u8 stream | u32 length | payload
 *
 * The way to the guest has two troubles. UML reads a serial line byte by byte, and a line whose
 * reader fell 4 KiB behind once is deaf for good (linux: arch/um/drivers/{line,chan_kern}.c). So
 * payloads of some length go through the *inbox*, a small file that the guest has as a read-only
 * block device, and the line carries their place in it (FRAME_LONG); and no more than LINE_WINDOW
 * bytes are sent before the agent says TAKEN for them, which also frees their room in the inbox.
 *
 * The agent sends HELLO with a nonce when it is up (again after a reboot: all channels are gone
 * then), and drops what it reads until START with that nonce. The supervisor opens a channel of a
 * number that is free by EXEC, READ, WRITE or NETLINK; it is free again with the agent's EXIT,
 * which is the last frame of every channel.
 *
 *     EXEC     flags, window size, user and groups where it is not root, working directory, argv,
 *              environment
 *     READ     path: its content comes as DATA of the output
 *     WRITE    path, mode: DATA of the input, CLOSE of the input, then EXIT
 *     NETLINK  messages for the kernel's routing socket; its answers come as DATA of the output
 *     RESIZE   u16 columns, u16 rows of the terminal
 *     KILL     u8 signal, to the command's process group
 *     POWER    u8 off or reboot; there is no answer
 *     DATA     bytes of a stream; from the agent at most MAX_DATA, to it MAX_PAYLOAD
 *     CLOSE    of the input: end of file; of an output: nobody reads it any more
 *     CREDIT   u32 bytes more that the sender of this frame takes of that stream
 *     EXIT     u8 how, u32 value: exit status, signal, or errno of what could not be done
 *     HELLO    u32 version, u32 nonce
 *     START    u32 nonce
 *     TAKEN    u32 bytes of the line that were taken, whole frames
 *
 * Flow control: an input may carry INPUT_WINDOW bytes, an output OUTPUT_WINDOW, and then what
 * CREDIT adds. So one slow reader stops its own command only, and every buffer is bounded.
 * The end of the line powers the guest off.
 */

export const PROTOCOL_VERSION = 2;

export const HEADER_BYTES = 8;
export const MAX_PAYLOAD = 65536;
export const MAX_DATA = 32768;
export const INBOX_BYTES = 1048576;
export const INBOX_UNIT = 512;
export const LINE_WINDOW = 3072;
export const TAKEN_STEP = 1024;
export const MAX_CHANNELS = 256;
export const MAX_GROUPS = 255;
export const INPUT_WINDOW = 262144;
export const OUTPUT_WINDOW = 524288;

export const FRAME = {
  EXEC: 1,
  READ: 2,
  WRITE: 3,
  NETLINK: 4,
  RESIZE: 5,
  KILL: 6,
  POWER: 7,
  START: 8,
  LONG: 128,
  DATA: 16,
  CLOSE: 17,
  CREDIT: 18,
  HELLO: 32,
  EXIT: 33,
  TAKEN: 34,
} as const;

export const STREAM = { INPUT: 0, OUTPUT: 1, ERROR: 2 } as const;

/**
 * NO_INPUT: /dev/null. SOCKET: input and output are one socket. CONSOLE: /dev/tty0 is its terminal.
 * USER: an identity follows the head.
 */
export const EXEC = { NO_INPUT: 1, TERMINAL: 2, SOCKET: 4, CONSOLE: 8, USER: 16 } as const;

/** CREATE: made if absent, emptied, given the mode. PARENTS: its folders are made. */
export const WRITE = { CREATE: 1, PARENTS: 2 } as const;

export const POWER = { OFF: 0, REBOOT: 1 } as const;

export const EXIT = { CODE: 0, SIGNAL: 1, ERRNO: 2 } as const;

export interface Frame {
  readonly channel: number;
  readonly type: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

/** The bytes of a frame on the line. `length` is another than the payload's for a long frame. */
export function encodeFrame(
  { channel, type, stream, payload }: Frame,
  length = payload.length,
): Buffer {
  if (length > MAX_PAYLOAD) throw new RangeError("the payload of a frame is too long");
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  bytes.writeUInt16LE(channel, 0);
  bytes[2] = type;
  bytes[3] = stream;
  bytes.writeUInt32LE(length, 4);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/**
 * Cuts a stream of bytes into frames. Payloads are views of the chunks where a frame lies in one
 * chunk, copies where it spans several; at most one frame is kept.
 */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** Calls `onFrame` for each frame that is complete now. Throws where it can't be the protocol. */
  push(chunk: Buffer, onFrame: (frame: Frame) => void): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= HEADER_BYTES) {
      const length = bytes.readUInt32LE(4);
      if (length > MAX_PAYLOAD) throw new Error(`the agent sent a frame of ${length} bytes`);
      const end = HEADER_BYTES + length;
      if (bytes.length < end) break;
      onFrame({
        channel: bytes.readUInt16LE(0),
        type: bytes[2] as number,
        stream: bytes[3] as number,
        payload: bytes.subarray(HEADER_BYTES, end),
      });
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
  }
}

/** Whom a command runs as. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary. */
  readonly groups: readonly number[];
}

export interface ExecPayload {
  readonly flags: number;
  readonly columns: number;
  readonly rows: number;
  readonly cwd: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Root without one. */
  readonly user?: Identity | undefined;
}

/** Throws a RangeError where it is too long for a frame or holds a zero byte. */
export function encodeExec(payload: ExecPayload): Buffer {
  const { flags, columns, rows, cwd, argv, env, user } = payload;
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const texts = [cwd, ...argv, ...variables];
  if (texts.some((text) => text.includes("\0"))) {
    throw new RangeError("a command can't hold a zero byte");
  }
  if (user !== undefined && user.groups.length > MAX_GROUPS) {
    throw new RangeError(`a command's user can't be in more than ${MAX_GROUPS} groups`);
  }
  const head = Buffer.alloc(10);
  head[0] = flags | (user === undefined ? 0 : EXEC.USER);
  head[1] = user?.groups.length ?? 0;
  head.writeUInt16LE(columns, 2);
  head.writeUInt16LE(rows, 4);
  head.writeUInt16LE(argv.length, 6);
  head.writeUInt16LE(variables.length, 8);
  const ids = user === undefined ? [] : [user.uid, user.gid, ...user.groups].map(encodeU32);
  const bytes = Buffer.concat([head, ...ids, Buffer.from(`${texts.join("\0")}\0`)]);
  if (bytes.length > MAX_PAYLOAD) throw new RangeError("the command line is too long (64 KiB)");
  return bytes;
}

export function encodePath(path: string): Buffer {
  if (path.includes("\0")) throw new RangeError("a path can't hold a zero byte");
  return Buffer.from(`${path}\0`);
}

export function encodeWrite(flags: number, mode: number, path: string): Buffer {
  const head = Buffer.from([flags, 0, mode & 0xff, (mode >> 8) & 0xff]);
  return Buffer.concat([head, encodePath(path)]);
}

export function encodeU32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function encodeSize(columns: number, rows: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt16LE(columns, 0);
  bytes.writeUInt16LE(rows, 2);
  return bytes;
}
