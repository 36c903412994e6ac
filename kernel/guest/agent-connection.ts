/**
 * The supervisor's end of the line to one guest's agent: commands, files and the routing socket,
 * many at once, each on a channel of its own (../agent/protocol.ts).
 *
 *     exec() -> channel -> frames -> line -> agent
 *     streams <- channel <- frames <- line <-
 */

import type { Duplex } from "node:stream";
import { LabError } from "../../base/errors.ts";
import {
  EXEC,
  EXIT,
  encodeExec,
  encodePath,
  encodeSize,
  encodeWrite,
  FRAME,
  type Frame,
  type Identity,
  MAX_CHANNELS,
  POWER,
  STREAM,
  WRITE,
} from "../agent/protocol.ts";
import { ChannelInput, ChannelOutput, type SendFrame } from "./channel-streams.ts";
import { errnoText } from "./errno.ts";
import { Line } from "./line.ts";
import type { ExecRequest, GuestProcess } from "./spec.ts";

/** How a channel ended. */
interface End {
  readonly how: number;
  readonly value: number;
}

interface Channel {
  readonly id: number;
  readonly input: ChannelInput;
  readonly output: ChannelOutput;
  readonly error: ChannelOutput;
  readonly ended: Promise<End>;
  end(end: End): void;
  fail(error: Error): void;
}

export interface ExecOptions {
  /** Its input is /dev/null; otherwise a pipe. */
  readonly noInput?: boolean;
  /** Its terminal is the guest's console; nothing goes over its streams. */
  readonly console?: boolean;
  /** Whom it runs as; root without. */
  readonly user?: Identity | undefined;
}

export interface AgentEvents {
  /** The agent is up: once a boot. */
  readonly onHello: () => void;
}

export class AgentConnection {
  readonly #line: Line;
  readonly #channels = new Map<number, Channel>();
  readonly #free: number[] = Array.from({ length: MAX_CHANNELS }, (_, i) => MAX_CHANNELS - 1 - i);
  readonly #waiting: { begin(id: number): void; fail(error: Error): void }[] = [];
  #ended: Error | undefined;

  /** @param inbox descriptor of the file that the guest has as its second block device. */
  constructor(stream: Duplex, inbox: number, events: AgentEvents) {
    this.#line = new Line(stream, inbox, {
      onFrame: (frame) => this.#take(frame),
      onHello: () => {
        this.#failAll(new LabError("GUEST_FAILED", "the guest rebooted"));
        events.onHello();
      },
      onEnd: (cause) => {
        this.#ended = cause;
        this.#failAll(cause);
        for (const { fail } of this.#waiting.splice(0)) fail(cause);
      },
    });
  }

  exec(
    request: ExecRequest,
    env: Readonly<Record<string, string>>,
    options: ExecOptions = {},
  ): GuestProcess {
    const { terminal } = request;
    const payload = encodeExec({
      flags:
        (options.noInput ? EXEC.NO_INPUT : 0) |
        (request.socket ? EXEC.SOCKET : 0) |
        (options.console ? EXEC.CONSOLE : 0) |
        (terminal ? EXEC.TERMINAL : 0),
      columns: terminal?.columns ?? 0,
      rows: terminal?.rows ?? 0,
      cwd: request.cwd ?? "",
      argv: request.command,
      env: { ...env, ...(terminal ? { TERM: terminal.term ?? "xterm" } : {}), ...request.env },
      user: options.user,
    });
    const channel = this.#open(FRAME.EXEC, payload, [STREAM.OUTPUT, STREAM.ERROR]);
    const name = request.command[0] ?? "";
    const exit = channel.ended.then(({ how, value }) => {
      if (how !== EXIT.ERRNO) {
        const signal = how === EXIT.SIGNAL ? value : undefined;
        return { code: signal === undefined ? value : 128 + signal, signal };
      }
      // As a shell says it, with its exit status: there is no such command, or it can't be run.
      const text = errnoText(value);
      channel.error.receive(Buffer.from(`${name}: ${text.message}\n`));
      return { code: text.code === "ENOENT" ? 127 : 126, signal: undefined };
    });
    void exit.finally(() => channel.output.finish()).catch(() => {});
    void exit.finally(() => channel.error.finish()).catch(() => {});
    return {
      stdin: channel.input,
      stdout: channel.output,
      stderr: channel.error,
      exit,
      resize: (columns, rows) => this.#send(channel, FRAME.RESIZE, 0, encodeSize(columns, rows)),
      kill: (signal) => this.#send(channel, FRAME.KILL, 0, Buffer.from([signal])),
    };
  }

  /** Rejects with GUEST_FAILED that names the path and why. */
  async readFile(path: string): Promise<Uint8Array> {
    const channel = this.#open(FRAME.READ, encodePath(path), [STREAM.OUTPUT]);
    const chunks: Uint8Array[] = [];
    channel.output.on("data", (chunk: Buffer) => chunks.push(chunk));
    const end = await channel.ended;
    channel.output.finish();
    check(end, `${path} can't be read`);
    return Buffer.concat(chunks);
  }

  /**
   * Writes a file whole. With a mode it is made (and its folders), without it must exist, as
   * everything under /proc/sys does.
   */
  async writeFile(path: string, content: Uint8Array, mode: number | undefined): Promise<void> {
    const flags = mode === undefined ? 0 : WRITE.CREATE | WRITE.PARENTS;
    const channel = this.#open(FRAME.WRITE, encodeWrite(flags, mode ?? 0, path), []);
    channel.input.end(content);
    check(await channel.ended, `${path} can't be written`);
  }

  /** Sends messages to the guest's routing socket; answers what came back. */
  async netlink(messages: Uint8Array): Promise<Uint8Array> {
    const channel = this.#open(FRAME.NETLINK, messages, [STREAM.OUTPUT]);
    const chunks: Uint8Array[] = [];
    channel.output.on("data", (chunk: Buffer) => chunks.push(chunk));
    const end = await channel.ended;
    channel.output.finish();
    check(end, "the routing socket does not answer");
    return Buffer.concat(chunks);
  }

  powerOff(): void {
    this.#line.send({
      channel: 0,
      type: FRAME.POWER,
      stream: 0,
      payload: Buffer.from([POWER.OFF]),
    });
  }

  /** Ends the line: the agent powers the guest off. */
  close(): void {
    this.#line.destroy();
  }

  #take({ channel: id, type, stream, payload }: Frame): void {
    const channel = this.#channels.get(id);
    if (channel === undefined) throw new Error(`the agent sent on channel ${id}, which is closed`);
    switch (type) {
      case FRAME.DATA:
        (stream === STREAM.OUTPUT ? channel.output : channel.error).receive(payload);
        return;
      case FRAME.CREDIT:
        channel.input.grant(Buffer.from(payload).readUInt32LE());
        return;
      case FRAME.EXIT:
        this.#release(id);
        channel.end({ how: payload[0] as number, value: Buffer.from(payload).readUInt32LE(1) });
        return;
      default:
        throw new Error(`the agent sent a frame of type ${type}`);
    }
  }

  /** Opens a channel, at once if one is free. Streams that the agent never ends are ended here. */
  #open(type: number, payload: Uint8Array, outputs: readonly number[]): Channel {
    const { promise: ended, resolve, reject } = withResolvers<End>();
    ended.catch(() => {}); // whoever cares awaits it
    let id = -1;
    const send: SendFrame = (frameType, stream, bytes, sent) => {
      // After its end the number belongs to another channel.
      if (this.#channels.get(id) === channel) {
        this.#line.send({ channel: id, type: frameType, stream, payload: bytes }, sent);
      } else sent?.();
    };
    const channel: Channel = {
      get id() {
        return id;
      },
      input: new ChannelInput(send),
      output: new ChannelOutput(send, STREAM.OUTPUT),
      error: new ChannelOutput(send, STREAM.ERROR),
      ended,
      end: (end) => {
        channel.input.finish();
        resolve(end);
      },
      fail: (error) => {
        channel.input.finish();
        channel.output.finish();
        channel.error.finish();
        reject(error);
      },
    };
    for (const stream of [STREAM.OUTPUT, STREAM.ERROR]) {
      if (!outputs.includes(stream)) {
        (stream === STREAM.OUTPUT ? channel.output : channel.error).finish();
      }
    }
    if (this.#ended !== undefined) {
      channel.fail(this.#ended);
      return channel;
    }
    const begin = (free: number) => {
      id = free;
      this.#channels.set(id, channel);
      this.#line.send({ channel: id, type, stream: 0, payload });
      channel.input.begin();
    };
    const free = this.#free.pop();
    if (free === undefined) this.#waiting.push({ begin, fail: channel.fail });
    else begin(free);
    return channel;
  }

  #release(id: number): void {
    this.#channels.delete(id);
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(id);
    else next.begin(id);
  }

  #failAll(error: Error): void {
    for (const [id, channel] of [...this.#channels]) {
      this.#release(id);
      channel.fail(error);
    }
  }

  #send(channel: Channel, type: number, stream: number, payload: Uint8Array): void {
    if (this.#channels.get(channel.id) === channel) {
      this.#line.send({ channel: channel.id, type, stream, payload });
    }
  }
}

function check({ how, value }: End, what: string): void {
  if (how === EXIT.ERRNO) {
    throw new LabError("GUEST_FAILED", `${what}: ${errnoText(value).message}`);
  }
}

function withResolvers<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: Error) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
