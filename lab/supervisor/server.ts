/**
 * The control socket's side of the supervisor: takes requests off connections, gives them to the
 * lab, and ends what a connection began when it is gone.
 */

import type { Duplex } from "node:stream";
import { pipeline } from "node:stream";
import { LabError, messageOf } from "../../base/errors.ts";
import type { OnLabEvent } from "../api.ts";
import { STREAM } from "../control/frames.ts";
import {
  type ApplyRequest,
  type BeginRequest,
  type ClientMessage,
  type Request,
  type ServerMessage,
  toWireError,
  toWirePlan,
} from "../control/messages.ts";
import { Peer } from "../control/peer.ts";
import { readConsole } from "./console-reader.ts";
import type { Lab } from "./lab.ts";

/** What the supervisor does itself; the rest goes to the lab. */
export interface Supervision {
  /** The lab, or an error while there is none. */
  readonly lab: () => Lab;
  readonly begin: (
    request: BeginRequest,
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ) => Promise<unknown>;
  readonly apply: (
    request: ApplyRequest,
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ) => Promise<unknown>;
  readonly down: (onEvent: OnLabEvent) => Promise<void>;
  /** The answer to `begin` or `down` is out: what is left to do once it is. */
  readonly log: (message: string) => void;
  readonly afterReply: (op: Request["op"], failed: boolean) => void;
}

const SIGHUP = 1;
/** Each has watches of its own. */
let assessments = 0;

/** Serves one connection until it ends. */
export function serve(socket: Duplex, supervision: Supervision): void {
  const running = new Map<number, AbortController>();
  const captures = new Set<string>();
  const channels = new Map<number, { resize(c: number, r: number): void; kill(s: number): void }>();

  const peer = new Peer(socket, {
    onMessage: (message) => take(message as ClientMessage),
    onEnd: (cause) => {
      if (cause !== undefined) supervision.log(`a connection broke: ${messageOf(cause)}`);
      const gone = new LabError("INTERRUPTED", "whoever asked is gone");
      for (const controller of running.values()) controller.abort(gone);
      for (const channel of channels.values()) channel.kill(SIGHUP);
      channels.clear();
      for (const capture of captures) void stopCapture(capture).catch(() => {});
    },
  });
  const send = (message: ServerMessage) => peer.send(message);

  function take(message: ClientMessage): void {
    if ("request" in message) void answer(message.id, message.request);
    else if ("cancel" in message) {
      running.get(message.cancel)?.abort(new LabError("INTERRUPTED", "interrupted"));
    } else if ("exec" in message) openExec(message.channel, message);
    else if ("console" in message) openConsole(message.channel, message);
    else if ("resize" in message) {
      channels.get(message.channel)?.resize(message.resize.columns, message.resize.rows);
    } else if ("signal" in message) channels.get(message.channel)?.kill(message.signal);
  }

  async function answer(id: number, request: Request): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    let failed = false;
    try {
      const onEvent: OnLabEvent = (event) => send({ id, event });
      send({ id, result: (await perform(request, controller.signal, onEvent)) ?? null });
    } catch (error) {
      failed = true;
      send({ id, error: toWireError(error) });
    } finally {
      running.delete(id);
      await peer.flush();
      supervision.afterReply(request.op, failed);
    }
  }

  async function perform(
    request: Request,
    signal: AbortSignal,
    onEvent: OnLabEvent,
  ): Promise<unknown> {
    switch (request.op) {
      case "begin":
        return supervision.begin(request, signal, onEvent);
      case "apply":
        return supervision.apply(request, signal, onEvent);
      case "plan":
        return toWirePlan(supervision.lab().plan);
      case "down":
        return supervision.down(onEvent);
      case "status":
        return { ...(await supervision.lab().status()), supervisorPid: process.pid };
      case "verify":
        return supervision
          .lab()
          .judge(signal, onEvent, { startedAt: Date.now(), checkMs: 0, events: false });
      case "assess": {
        const name = `assessment ${++assessments}`;
        return supervision.lab().judging.assess(request.expect, { name }, signal, onEvent);
      }
      case "capture-start": {
        const started = await supervision.lab().startCapture(request.capture);
        captures.add(started.capture);
        return started;
      }
      case "capture-stop":
        captures.delete(request.capture);
        return stopCapture(request.capture);
      case "save":
        return supervision.lab().save(request.file, signal);
      case "inspect":
        return supervision.lab().inspect(request.guest);
      case "debug":
        return supervision.lab().debug(request, signal, onEvent);
      case "explain":
        return supervision.lab().judging.explain(request.pair, signal);
      case "explain-failures":
        return supervision.lab().judging.explainFailures(request.results, signal);
      case "set-link":
        return supervision.lab().setLink(request.link, request.change);
      case "add-link":
        return supervision.lab().addLink(request.addition);
      case "remove-link":
        return supervision.lab().removeLink(request.link);
      case "restart":
      case "start":
      case "stop":
      case "pause":
      case "resume":
        return supervision.lab().operate(request.op, request.guests, signal, onEvent);
    }
  }

  const stopCapture = async (capture: string) => supervision.lab().stopCapture(capture);

  function openExec(id: number, message: Extract<ClientMessage, { exec: unknown }>): void {
    const channel = peer.channel(id);
    try {
      const command = supervision.lab().exec(message.guest, message.exec);
      channels.set(id, command);
      join(channel.incoming(STREAM.INPUT), command.stdin);
      const sent = [
        join(command.stdout, channel.outgoing(STREAM.OUTPUT)),
        join(command.stderr, channel.outgoing(STREAM.ERROR)),
      ];
      command.exit.then(
        async (exit) => {
          await Promise.all(sent);
          finish(id, { channel: id, exit });
        },
        (error: unknown) => finish(id, { channel: id, error: toWireError(error) }),
      );
    } catch (error) {
      finish(id, { channel: id, error: toWireError(error) });
    }
  }

  function openConsole(
    id: number,
    { guest, console: wanted }: Extract<ClientMessage, { console: unknown }>,
  ): void {
    const channel = peer.channel(id);
    try {
      const keeper = supervision.lab().keeper(guest);
      const output = readConsole(keeper.consolePath, {
        follow: wanted.follow,
        goesOn: () => keeper.process !== null || keeper.obstacle?.endsWith("booting") === true,
        onChange: (callback) => keeper.watch(callback),
      });
      channels.set(id, { resize: () => {}, kill: () => output.destroy() });
      const input = channel.incoming(STREAM.INPUT);
      input.on("data", (chunk: Buffer) => {
        if (!wanted.input || keeper.consoleInput?.write(chunk) !== false) return;
        input.pause();
        keeper.consoleInput.once("drain", () => input.resume());
      });
      channel.outgoing(STREAM.ERROR).end();
      void join(output, channel.outgoing(STREAM.OUTPUT)).then(() =>
        finish(id, { channel: id, exit: { code: 0, signal: undefined } }),
      );
    } catch (error) {
      finish(id, { channel: id, error: toWireError(error) });
    }
  }

  function finish(id: number, message: ServerMessage): void {
    send(message);
    channels.delete(id);
    peer.closeChannel(id);
  }
}

/** Resolves when all is passed on, or one side is gone. */
function join(from: NodeJS.ReadableStream, to: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => pipeline(from, to, () => resolve()));
}
