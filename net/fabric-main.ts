/**
 * The fabric process: a synchronous `epoll_wait` loop and nothing else — no promise, no event loop.
 * Orders come over descriptor 3, one JSON object a line (control/messages.ts); its end ends us.
 */

import { rmSync } from "node:fs";
import { messageOf } from "../base/errors.ts";
import type { FabricEvent, FabricReply, FabricRequest } from "./control/messages.ts";
import { FabricCore, type Listening, type Worker } from "./fabric-core.ts";
import { type AnsweredAtOnce, perform } from "./fabric-requests.ts";
import { openHostTap } from "./host-tap-device.ts";
import * as libc from "./libc/libc.ts";
import type { Nic } from "./nic.ts";
import { Vigil } from "./vigil.ts";

const CONTROL_FD = 3;
const LONGEST_LINE = 16 * 1024 * 1024;
/** Turns between looks at other events while frames are moving. */
const TURNS_A_LOOK = 4;

/** What a tag of an epoll event stands for. */
type Watched =
  | { readonly kind: "control" }
  | { readonly kind: "timer" }
  | { readonly kind: "listener"; readonly who: Listening }
  | { readonly kind: "worker"; readonly worker: Worker }
  | { readonly kind: "session"; readonly nic: Nic }
  | { readonly kind: "kick"; readonly nic: Nic; readonly queue: number };

const epoll = new libc.Epoll();
const watched: (Watched | undefined)[] = [];
const tagOf = new Map<number, number>();
const listeners = new Map<Listening, number>();

function watch(fd: number, events: number, what: Watched): void {
  const free = watched.indexOf(undefined);
  const tag = free < 0 ? watched.length : free;
  epoll.add(fd, events, tag);
  watched[tag] = what;
  tagOf.set(fd, tag);
}

function unwatch(fd: number): void {
  const tag = tagOf.get(fd);
  if (tag === undefined) return;
  epoll.remove(fd);
  watched[tag] = undefined;
  tagOf.delete(fd);
}

const core = new FabricCore(
  {
    listen(who) {
      rmSync(who.spec.socketPath, { force: true });
      const fd = libc.listenUnix(who.spec.socketPath);
      listeners.set(who, fd);
      watch(fd, libc.EPOLLIN, { kind: "listener", who });
    },
    unlisten(who) {
      const fd = listeners.get(who);
      if (fd === undefined) return;
      listeners.delete(who);
      unwatch(fd);
      libc.close(fd);
      rmSync(who.spec.socketPath, { force: true });
    },
    openTap: openHostTap,
    watchWorker(worker, fd) {
      watch(fd, libc.EPOLLIN | libc.EPOLLOUT | libc.EPOLLET, { kind: "worker", worker });
    },
    watch(nic, fd, queue) {
      if (queue < 0) watch(fd, libc.EPOLLIN, { kind: "session", nic });
      // edge-triggered and never read: each kick is an edge
      else watch(fd, libc.EPOLLIN | libc.EPOLLET, { kind: "kick", nic, queue });
    },
    unwatch,
  },
  tell,
  () => Math.round(performance.now() * 1e6),
);

// ------------------------------------------------------------------ control

const output: Buffer[] = [];
let outputWatched = false;

function tell(message: FabricReply | FabricEvent): void {
  output.push(Buffer.from(`${JSON.stringify(message)}\n`));
  flushOutput();
}

function flushOutput(): void {
  for (let first = output[0]; first !== undefined; first = output[0]) {
    const wrote = libc.write(CONTROL_FD, first);
    if (wrote < 0) break;
    if (wrote === first.length) output.shift();
    else output[0] = first.subarray(wrote);
  }
  const waiting = output.length > 0;
  if (waiting !== outputWatched) {
    const tag = tagOf.get(CONTROL_FD);
    if (tag === undefined) return;
    epoll.modify(CONTROL_FD, libc.EPOLLIN | (waiting ? libc.EPOLLOUT : 0), tag);
    outputWatched = waiting;
  }
}

const inputChunk = Buffer.alloc(64 * 1024);
let input = Buffer.alloc(0);

/** False at the end of the control connection. */
function readControl(): boolean {
  for (;;) {
    const got = libc.read(CONTROL_FD, inputChunk);
    if (got === 0) return false;
    if (got < 0) return true;
    input = Buffer.concat([input, inputChunk.subarray(0, got)]);
    for (let end = input.indexOf(10); end >= 0; end = input.indexOf(10)) {
      const line = input.subarray(0, end).toString();
      input = input.subarray(end + 1);
      handleLine(line);
    }
    if (input.length > LONGEST_LINE) throw new Error("a control message without an end");
  }
}

function handleLine(line: string): void {
  const { id, ...request } = JSON.parse(line) as FabricRequest & { id: number };
  try {
    if (request.op === "capture-stop") {
      core.stopCapture(request.capture, (recorded) => {
        tell({ id, ok: true, ...(recorded === undefined ? {} : { recorded }) });
      });
    } else tell({ id, ok: true, ...perform(core, request as AnsweredAtOnce) });
  } catch (error) {
    tell({ id, ok: false, message: messageOf(error) });
  }
}

// ------------------------------------------------------------------ the loop

function accept(who: Listening): void {
  for (;;) {
    const fd = libc.accept(listeners.get(who) as number);
    if (fd < 0) return;
    who.accept(fd);
  }
}

/** False once the fabric should end. */
function handleEvents(count: number): boolean {
  for (let i = 0; i < count; i++) {
    const what = watched[epoll.tags[i]!];
    if (what === undefined) continue; // closed by an event before it
    switch (what.kind) {
      case "kick":
        core.kicked(what.nic, what.queue);
        break;
      case "session":
        what.nic.sessionReadable();
        break;
      case "listener":
        accept(what.who);
        break;
      case "worker":
        core.retry(what.worker);
        break;
      case "timer":
        break; // edge-triggered and never read: it only wakes
      case "control":
        if ((epoll.events[i]! & libc.EPOLLOUT) !== 0) flushOutput();
        if (!readControl()) return false;
        break;
    }
  }
  return true;
}

function readClock(): void {
  core.clock.nowMs = performance.now();
  core.clock.nowNs = Math.round(core.clock.nowMs * 1e6);
}

const timer = libc.timer();
const vigil = new Vigil();
let armedNs = Number.POSITIVE_INFINITY;

/** Lets the timer wake the loop when the next frame is due; false where it is due, or nearly so. */
function armTimer(): boolean {
  const due = core.nextDueNs;
  if (due === Number.POSITIVE_INFINITY) return true;
  const now = performance.now() * 1e6;
  if (due <= now) return false;
  const wakeNs = vigil.wakeNs(due, now);
  if (wakeNs <= now) return false;
  // one that was armed for the same time, and has not rung, needs no other
  if (wakeNs === armedNs && armedNs > now) return true;
  libc.setTimer(timer, wakeNs - now);
  armedNs = wakeNs;
  return true;
}

function main(): void {
  libc.setNonBlocking(CONTROL_FD);
  watch(CONTROL_FD, libc.EPOLLIN, { kind: "control" });
  watch(timer, libc.EPOLLIN | libc.EPOLLET, { kind: "timer" });
  tell({ event: "ready" });
  let busy = false;
  for (;;) {
    const patienceMs = busy || !armTimer() ? 0 : core.patienceMs;
    const count = epoll.wait(patienceMs);
    readClock();
    if (!handleEvents(count)) break;
    if (count === 0 && patienceMs !== 0) core.idle();
    core.tick();
    busy = core.turn();
    for (let i = 1; i < TURNS_A_LOOK && busy; i++) {
      readClock();
      busy = core.turn();
    }
  }
  core.close();
  for (const [who] of listeners) rmSync(who.spec.socketPath, { force: true });
}

main();
// FFI and views leave nothing that an orderly exit would have to wait for
process.exit(0);
