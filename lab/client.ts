/**
 * One running lab, over its control socket. A request that finds the connection gone is answered
 * with what the lab's folder tells of its end.
 */

import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { LabError, messageOf } from "../base/errors.ts";
import { isAlive } from "../base/processes.ts";
import type { ExecRequest, GuestProcess } from "../kernel/guest/spec.ts";
import type { CaptureCounters } from "../net/control/messages.ts";
import type {
  AppliedPlan,
  Assessment,
  CaptureRequest,
  DebugSession,
  DebugTarget,
  Inspection,
  LabStatus,
  LinkAddition,
  OnLabEvent,
  PlanApplication,
  Report,
  RunningLab,
  SavedDisks,
  StartedCapture,
} from "./api.ts";
import { STREAM } from "./control/frames.ts";
import {
  type ClientMessage,
  fromWireError,
  fromWirePlan,
  type GuestOperation,
  type LinkChange,
  type Request,
  type ServerMessage,
  toWirePlan,
  type WirePlan,
} from "./control/messages.ts";
import { Peer } from "./control/peer.ts";
import type { ExplainRequest } from "./explain/explain.ts";
import type { Explanation } from "./explain/explanation.ts";
import type { ExpectPlan } from "./plan/expect-plan.ts";
import type { LabPlan } from "./plan/plan.ts";
import { awaitEnd, type Remains } from "./remains.ts";
import { controlPath, readRecord, recordedProcesses } from "./run-folder.ts";

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly onEvent: OnLabEvent | undefined;
}

interface Command {
  readonly resolve: (exit: { code: number; signal: number | undefined }) => void;
  readonly reject: (error: Error) => void;
}

export class LabClient implements RunningLab {
  readonly name: string;
  readonly #folder: string;
  readonly #peer: Peer;
  readonly #pending = new Map<number, Pending>();
  readonly #commands = new Map<number, Command>();
  #last = 0;
  #gone = false;

  /** @param socket connected to the lab's supervisor. @param folder the lab's. */
  constructor(socket: Duplex, name: string, folder: string) {
    this.name = name;
    this.#folder = folder;
    this.#peer = new Peer(socket, {
      onMessage: (message) => this.#take(message as ServerMessage),
      onEnd: () => this.#end(),
    });
  }

  /** Throws SUPERVISOR_FAILED when nobody listens. */
  static async connect(name: string, folder: string): Promise<LabClient> {
    const socket = connect(controlPath(folder));
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (cause) => reject(goneError(name, folder, cause)));
    });
    return new LabClient(socket, name, folder);
  }

  /** Sends a request; `signal` cancels it, and its answer is awaited all the same. */
  request(
    request: Request,
    options: { readonly onEvent?: OnLabEvent; readonly signal?: AbortSignal } = {},
  ): Promise<unknown> {
    const id = ++this.#last;
    const { onEvent, signal } = options;
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(goneError(this.name, this.#folder));
      const cancel = () => this.#send({ cancel: id });
      const done = () => signal?.removeEventListener("abort", cancel);
      this.#pending.set(id, {
        onEvent,
        resolve: (result) => {
          done();
          resolve(result);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      this.#send({ id, request });
      signal?.addEventListener("abort", cancel);
      if (signal?.aborted) cancel();
    });
  }

  async status(): Promise<LabStatus> {
    return (await this.request({ op: "status" })) as LabStatus;
  }

  async plan(): Promise<LabPlan> {
    return fromWirePlan((await this.request({ op: "plan" })) as WirePlan);
  }

  async apply(
    { plan, ...request }: PlanApplication,
    options: { signal: AbortSignal; onEvent: OnLabEvent },
  ): Promise<AppliedPlan> {
    const wire = { op: "apply" as const, plan: toWirePlan(plan), ...request };
    return (await this.request(wire, options)) as AppliedPlan;
  }

  async verify(options: { signal: AbortSignal; onEvent: OnLabEvent }): Promise<Report> {
    return (await this.request({ op: "verify" }, options)) as Report;
  }

  async assess(
    expect: ExpectPlan,
    options: { signal: AbortSignal; onEvent: OnLabEvent },
  ): Promise<Assessment> {
    return (await this.request({ op: "assess", expect }, options)) as Assessment;
  }

  exec(guest: string, request: ExecRequest): GuestProcess {
    return this.#open((channel) => ({ channel, exec: request, guest }));
  }

  console(guest: string, options: { follow: boolean; input: boolean }): GuestProcess {
    return this.#open((channel) => ({ channel, console: options, guest }));
  }

  async explain(
    pair: ExplainRequest,
    options: { readonly signal: AbortSignal },
  ): Promise<Explanation> {
    return (await this.request({ op: "explain", pair }, options)) as Explanation;
  }

  async explainFailures(
    results: Report["reachability"],
    options: { readonly signal: AbortSignal },
  ): Promise<Report["reachability"]> {
    return (await this.request({ op: "explain-failures", results }, options)) as typeof results;
  }

  async inspect(guest: string): Promise<Inspection> {
    return (await this.request({ op: "inspect", guest })) as Inspection;
  }

  async debug(guest: string, { freeze }: { readonly freeze: boolean }): Promise<DebugSession> {
    const controller = new AbortController();
    let onTarget: (target: DebugTarget) => void = () => {};
    const announced = new Promise<DebugTarget>((resolve) => {
      onTarget = resolve;
    });
    const over = this.request(
      { op: "debug", guest, freeze },
      {
        signal: controller.signal,
        onEvent: (event) => {
          if (event.type === "debug") onTarget(event.target);
        },
      },
    ) as Promise<string | null>;
    const target = await Promise.race([announced, over.then(() => announced)]);
    // a connection that breaks is the end of the lab, for whoever debugs
    const why = over.catch((error: unknown) => messageOf(error));
    return {
      target,
      over: why,
      [Symbol.asyncDispose]: async () => {
        controller.abort();
        await why;
      },
    };
  }

  restart(guests: readonly string[], onEvent: OnLabEvent): Promise<void> {
    return this.#operate("restart", guests, onEvent);
  }

  stop(guests: readonly string[], onEvent: OnLabEvent): Promise<void> {
    return this.#operate("stop", guests, onEvent);
  }

  start(guests: readonly string[], onEvent: OnLabEvent): Promise<void> {
    return this.#operate("start", guests, onEvent);
  }

  pause(guests: readonly string[]): Promise<void> {
    return this.#operate("pause", guests);
  }

  resume(guests: readonly string[]): Promise<void> {
    return this.#operate("resume", guests);
  }

  async setLink(link: string, change: LinkChange): Promise<void> {
    await this.request({ op: "set-link", link, change });
  }

  async addLink(addition: LinkAddition): Promise<string> {
    return (await this.request({ op: "add-link", addition })) as string;
  }

  async removeLink(link: string): Promise<void> {
    await this.request({ op: "remove-link", link });
  }

  async startCapture(capture: CaptureRequest): Promise<StartedCapture> {
    return (await this.request({ op: "capture-start", capture })) as StartedCapture;
  }

  async stopCapture(capture: string): Promise<CaptureCounters | null> {
    return (await this.request({ op: "capture-stop", capture })) as CaptureCounters | null;
  }

  async save(file: string): Promise<SavedDisks> {
    return (await this.request({ op: "save", file })) as SavedDisks;
  }

  async down(onEvent: OnLabEvent): Promise<void> {
    const remains: Remains = {
      name: this.name,
      folder: this.#folder,
      processes: recordedProcesses(this.#folder),
    };
    await this.request({ op: "down" }, { onEvent }).catch((error: unknown) => {
      // Its last word can be lost with the connection.
      if (!this.#gone) throw error;
    });
    // Said is not done: look.
    await awaitEnd({ ...remains, processes: [...remains.processes] });
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#peer.close();
  }

  async #operate(
    op: GuestOperation,
    guests: readonly string[],
    onEvent?: OnLabEvent,
  ): Promise<void> {
    await this.request({ op, guests }, onEvent === undefined ? {} : { onEvent });
  }

  #open(message: (channel: number) => ClientMessage): GuestProcess {
    const id = ++this.#last;
    const channel = this.#peer.channel(id);
    const exit = new Promise<{ code: number; signal: number | undefined }>((resolve, reject) => {
      this.#commands.set(id, { resolve, reject });
    });
    exit.catch(() => {}); // whoever cares awaits it
    const process: GuestProcess = {
      stdin: channel.outgoing(STREAM.INPUT),
      stdout: channel.incoming(STREAM.OUTPUT),
      stderr: channel.incoming(STREAM.ERROR),
      exit,
      resize: (columns, rows) => this.#send({ channel: id, resize: { columns, rows } }),
      kill: (signal) => this.#send({ channel: id, signal }),
    };
    if (this.#gone) this.#endCommand(id, goneError(this.name, this.#folder));
    else this.#send(message(id));
    return process;
  }

  #send(message: ClientMessage): void {
    this.#peer.send(message);
  }

  #take(message: ServerMessage): void {
    if ("id" in message) {
      const pending = this.#pending.get(message.id);
      if ("event" in message) {
        pending?.onEvent?.(message.event);
        return;
      }
      this.#pending.delete(message.id);
      if ("error" in message) pending?.reject(fromWireError(message.error));
      else pending?.resolve(message.result);
      return;
    }
    if ("error" in message) {
      this.#endCommand(message.channel, fromWireError(message.error));
      return;
    }
    const { channel, exit } = message;
    this.#commands.get(channel)?.resolve({ code: exit.code, signal: exit.signal });
    this.#commands.delete(channel);
    this.#peer.closeChannel(channel);
  }

  #endCommand(id: number, error: Error): void {
    this.#commands.get(id)?.reject(error);
    this.#commands.delete(id);
    this.#peer.closeChannel(id);
  }

  #end(): void {
    this.#gone = true;
    const error = () => goneError(this.name, this.#folder);
    for (const { reject } of this.#pending.values()) reject(error());
    this.#pending.clear();
    for (const id of [...this.#commands.keys()]) this.#endCommand(id, error());
  }
}

function goneError(name: string, folder: string, cause?: unknown): LabError {
  const record = readRecord(folder);
  const options = { ...(cause === undefined ? {} : { cause }) };
  if (record === undefined) {
    return new LabError("SUPERVISOR_FAILED", `lab ${name} has ended`, options);
  }
  const why = isAlive(record.supervisor)
    ? (record.problem ?? "its supervisor does not answer")
    : (record.problem ?? `its supervisor (process ${record.supervisor.pid}) was killed`);
  return new LabError("SUPERVISOR_FAILED", `lab ${name} crashed: ${why}`, {
    ...options,
    hint: `uml-lab down ${name} removes what is left of it`,
  });
}
