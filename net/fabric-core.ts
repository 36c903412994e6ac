/**
 * All that moves frames in a lab: NICs, switches, links, and the loop that drains them. It knows no
 * process and no control socket (`fabric-main.ts` has those), so tests and benches drive it directly.
 *
 *     epoll --> kicked NICs --> active queue --> drain(budget) ... --> publish what was received
 */

import { Arenas } from "./arena.ts";
import { CaptureDesk } from "./capture-desk.ts";
import type {
  CaptureCounters,
  CaptureSpec,
  FabricCounters,
  FabricEvent,
  LinkEnd,
  LinkSpec,
  NicSpec,
  OutletSpec,
  SwitchSpec,
  Trace,
  TraceSpec,
  WatchSpec,
} from "./control/messages.ts";
import { endName } from "./control/messages.ts";
import { Counters } from "./counters.ts";
import { HostTap, type HostTapHost, type TapEnd } from "./host-tap.ts";
import type { TapDevice } from "./host-tap-device.ts";
import { isPerfect, whatIsWrong } from "./impairment/impairer.ts";
import { LinkDirection, type Sink } from "./link.ts";
import { fabricSends, Nic, type NicHost } from "./nic.ts";
import { Outlet, type OutletHost } from "./outlet.ts";
import { StormGuard } from "./storm-guard.ts";
import { Switch, SwitchPort } from "./switch.ts";
import { type TraceableLink, TraceDesk } from "./trace/trace-desk.ts";
import { Retagger } from "./vlan.ts";
import { WatchDesk } from "./watch-desk.ts";
import { Workbench } from "./workbench.ts";

/** Frames a NIC may move before the next one has its turn. */
const BUDGET = 256;

/** Of what a way out drops. */
const NOT_COUNTED = new Counters();

/** A request that can't be done; the message says why. */
export class FabricRequestError extends Error {}

/** What others connect to at a path. */
export interface Listening {
  readonly spec: { readonly socketPath: string };
  accept(fd: number): void;
}

/** What works when its descriptor has something for it. */
export interface Worker {
  work(): void;
}

/** Descriptors of NICs: the core says what to watch, and is told what was kicked. */
export interface Watcher {
  listen(who: Listening): void;
  unlisten(who: Listening): void;
  /** Throws where the host has no such TAP for us. */
  openTap(device: string): TapDevice;
  watchWorker(worker: Worker, fd: number): void;
  watch(nic: Nic, fd: number, queue: number): void;
  unwatch(fd: number): void;
}

interface Plugged {
  readonly spec: LinkSpec;
  readonly directions: readonly [LinkDirection, LinkDirection];
  /** What stands at each end. */
  readonly plugged: readonly [Sink, Sink];
}

export class FabricCore implements NicHost, OutletHost, HostTapHost {
  readonly arenas = new Arenas();
  readonly clock = { nowMs: 0, nowNs: 0 };
  readonly storms = new StormGuard(this.clock);
  readonly retagger = new Retagger();
  readonly #watcher: Watcher;
  readonly #emit: (event: FabricEvent) => void;
  readonly #nics = new Map<string, Nic>();
  readonly #switches = new Map<string, Switch>();
  readonly #outlets = new Map<string, Outlet>();
  /** Outlets and TAPs that go on in the next turn, and whether one of them has much to do. */
  #retrying = new Set<Worker>();
  #hurry = false;
  readonly #links = new Map<string, Plugged>();
  /** NICs with frames to drain, and the ones whose turn comes after. */
  #active: Nic[] = [];
  #next: Nic[] = [];
  readonly #received: Nic[] = [];
  readonly #full = new Set<Nic>();
  /** NICs that touch their buffers when there is time. */
  readonly #touching = new Set<Nic>();
  /** Directions of links with something that impairs them. */
  #impaired: LinkDirection[] = [];
  readonly #captures: CaptureDesk;
  readonly #watches = new WatchDesk(this.clock);
  readonly #traces: TraceDesk;
  #bench: Workbench | undefined;

  /** @param preciseNs the clock's time at this moment; `clock` holds that of the turn's begin. */
  constructor(
    watcher: Watcher,
    emit: (event: FabricEvent) => void,
    preciseNs: () => number = () => this.clock.nowNs,
  ) {
    this.#watcher = watcher;
    this.#emit = emit;
    this.#captures = new CaptureDesk(this.clock);
    this.#traces = new TraceDesk(() => this.workbench(), preciseNs);
  }

  // ------------------------------------------------------------------ the loop

  /** Gives every active NIC one turn; true while some still have frames. */
  turn(): boolean {
    const active = this.#active;
    this.#active = this.#next;
    this.#next = active;
    for (const nic of active) {
      nic.active = false;
      try {
        if (nic.drain(BUDGET)) this.activate(nic);
      } catch (error) {
        nic.fail(error);
      }
    }
    active.length = 0;
    this.#hurry = false;
    if (this.#retrying.size > 0) this.#work();
    if (this.#impaired.length > 0) this.#release();
    this.#captures.flush();
    for (let i = 0; i < this.#received.length; i++) this.#received[i]!.publish();
    this.#received.length = 0;
    return this.#active.length > 0 || this.#hurry;
  }

  /** How long the loop may sleep, milliseconds; -1 for as long as it takes. */
  get patienceMs(): number {
    if (this.#retrying.size + this.#touching.size > 0) return 1;
    return this.#full.size > 0 || this.#captures.areEnding ? 5 : -1;
  }

  /** When a frame that is on its way is due; Infinity where there is none. */
  get nextDueNs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const direction of this.#impaired) next = Math.min(next, direction.nextDueNs);
    return next;
  }

  #work(): void {
    const now = this.#retrying;
    this.#retrying = new Set();
    for (const worker of now) worker.work();
  }

  #release(): void {
    fabricSends();
    let idle = false;
    for (const direction of this.#impaired) idle = !direction.release() || idle;
    if (idle) this.#impaired = this.#impaired.filter((direction) => direction.isImpaired);
  }

  /** Looks after receivers that are full. */
  tick(): void {
    if (this.#full.size === 0) return;
    for (const nic of this.#full) {
      if (nic.checkStalled(this.clock.nowMs) || !nic.hasWaiters) this.#full.delete(nic);
    }
  }

  /** Nothing came while the loop was patient: one NIC touches, so that what comes now waits little. */
  idle(): void {
    for (const nic of this.#touching) {
      this.#touching.delete(nic);
      nic.touchAhead();
      return;
    }
  }

  kicked(nic: Nic, queue: number): void {
    if (queue === 0) nic.receiveKicked();
    else this.activate(nic);
  }

  // ------------------------------------------------------------------ NicHost

  watch(nic: Nic, fd: number, queue: number): void {
    this.#watcher.watch(nic, fd, queue);
  }

  unwatch(fd: number): void {
    this.#watcher.unwatch(fd);
  }

  activate(nic: Nic | undefined): void {
    if (nic === undefined || nic.active) return;
    nic.active = true;
    this.#active.push(nic);
  }

  received(nic: Nic): void {
    this.#received.push(nic);
  }

  mayTouchLater(nic: Nic): void {
    this.#touching.add(nic);
  }

  becameFull(nic: Nic): void {
    this.#full.add(nic);
  }

  connected(nic: Nic): void {
    this.#emit({ event: "nic-connected", nic: nic.spec.nic });
  }

  disconnected(nic: Nic, reason: string): void {
    this.#emit({ event: "nic-disconnected", nic: nic.spec.nic, reason });
  }

  // ------------------------------------------------------------------ OutletHost, HostTapHost

  watchWorker(worker: Worker, fd: number): void {
    this.#watcher.watchWorker(worker, fd);
  }

  retry(worker: Worker, atOnce = false): void {
    this.#retrying.add(worker);
    this.#hurry ||= atOnce;
  }

  tapLost({ end }: HostTap, reason: string): void {
    const message = `the TAP ${end.device} of ${end.tap} is gone: ${reason}`;
    this.#emit({ event: "log", level: "warn", message });
  }

  // ------------------------------------------------------------------ what is plugged where

  addNic(spec: NicSpec): void {
    if (this.#nics.has(spec.nic))
      throw new FabricRequestError(`there is a NIC ${spec.nic} already`);
    const nic = new Nic(spec, this);
    this.#watcher.listen(nic);
    this.#nics.set(spec.nic, nic);
  }

  removeNic(name: string): void {
    const nic = this.#nic(name);
    if (nic.isPlugged) throw new FabricRequestError(`the NIC ${name} is still plugged in`);
    nic.disconnect("the NIC was removed");
    this.#watcher.unlisten(nic);
    this.#nics.delete(name);
  }

  addSwitch(spec: SwitchSpec): void {
    if (this.#switches.has(spec.switch)) {
      throw new FabricRequestError(`there is a switch ${spec.switch} already`);
    }
    this.#switches.set(spec.switch, new Switch(spec, this));
  }

  removeSwitch(name: string): void {
    if (!this.#switch(name).isEmpty) {
      throw new FabricRequestError(`the switch ${name} still has links`);
    }
    this.#switches.delete(name);
  }

  addOutlet(spec: OutletSpec): void {
    if (this.#outlets.has(spec.outlet)) {
      throw new FabricRequestError(`there is a way out ${spec.outlet} already`);
    }
    const outlet = new Outlet(spec, this);
    this.#watcher.listen(outlet);
    this.#outlets.set(spec.outlet, outlet);
  }

  removeOutlet(name: string): void {
    const outlet = this.#outlet(name);
    if (outlet.isPlugged) throw new FabricRequestError(`the way out ${name} is still plugged in`);
    outlet.dispose();
    this.#watcher.unlisten(outlet);
    this.#retrying.delete(outlet);
    this.#outlets.delete(name);
  }

  addLink(spec: LinkSpec): void {
    if (this.#links.has(spec.link)) {
      throw new FabricRequestError(`there is a link ${spec.link} already`);
    }
    checkImpairments(spec.impairments);
    const [a, b] = spec.ends;
    for (const end of spec.ends) this.#checkFree(end);
    if (a.kind === "nic" && b.kind === "nic" && a.nic === b.nic) {
      throw new FabricRequestError(`the link ${spec.link} begins and ends at ${a.nic}`);
    }
    if (a.kind === "tap" && b.kind === "tap") {
      throw new FabricRequestError(`the link ${spec.link} joins two TAPs`);
    }
    // the last that may fail: nothing is plugged in yet
    const end = spec.ends.find((one): one is TapEnd => one.kind === "tap");
    const tap = end && new HostTap(end, this.#watcher.openTap(end.device), this);
    const nowhere: Sink = { send: () => true };
    const directions = [
      new LinkDirection(nowhere, spec.up, this.clock, () => this.workbench()),
      new LinkDirection(nowhere, spec.up, this.clock, () => this.workbench()),
    ] as const;
    const plugged = [
      this.#plug(a, spec, directions[0], tap),
      this.#plug(b, spec, directions[1], tap),
    ] as const;
    directions[0].leadTo(plugged[1]);
    directions[1].leadTo(plugged[0]);
    this.#links.set(spec.link, { spec, directions, plugged });
    this.#impair(spec, directions, spec.impairments);
    this.#captures.addLink(spec, directions);
    this.#watches.addLink(spec, directions);
    this.#traces.addLink(this.#traceable(this.#link(spec.link)));
  }

  removeLink(name: string): void {
    const link = this.#link(name);
    this.#traces.removeLink(name);
    link.spec.ends.forEach((end, index) => {
      if (end.kind === "nic") this.#nicOf(end).plug(undefined, false);
      else if (end.kind === "outlet") this.#outlet(end.outlet).plug(undefined);
      else if (end.kind === "switch") {
        this.#switch(end.switch).unplug(link.plugged[index] as SwitchPort);
      }
    });
    for (const tap of tapsOf(link)) {
      tap.dispose();
      this.#retrying.delete(tap);
    }
    for (const direction of link.directions) direction.dispose();
    this.#impaired = this.#impaired.filter((one) => !link.directions.includes(one));
    this.#captures.removeLink(name);
    this.#watches.removeLink(name);
    this.#links.delete(name);
  }

  setLinkState(name: string, up: boolean): void {
    const link = this.#link(name);
    const { spec, directions } = link;
    for (const direction of directions) direction.up = up;
    for (const tap of tapsOf(link)) tap.setLinkUp(up);
    for (const end of spec.ends) if (end.kind === "nic") this.#nicOf(end).setLinkUp(up);
  }

  setImpairments(name: string, impairments: LinkSpec["impairments"]): void {
    const link = this.#link(name);
    const { spec, directions } = link;
    checkImpairments(impairments);
    this.#impair(spec, directions, impairments);
    this.#links.set(name, { ...link, spec: { ...spec, impairments } });
  }

  startCapture(spec: CaptureSpec): void {
    if (spec.of.kind === "link") this.#link(spec.of.link);
    if (spec.of.kind === "nic") this.#nic(spec.of.nic);
    this.#captures.start(spec, this.#links.values());
  }

  /** @param onWritten is told what was recorded, once all is written. */
  stopCapture(name: string, onWritten: (recorded: CaptureCounters | undefined) => void): void {
    this.#captures.stop(name, onWritten);
  }

  startWatch(spec: WatchSpec): void {
    if (spec.of.kind === "link") this.#link(spec.of.link);
    this.#watches.start(spec);
  }

  stopWatch(name: string): void {
    this.#watches.stop(name);
  }

  startTrace(spec: TraceSpec): void {
    this.#traces.start(
      spec,
      [...this.#links.values()].map((link) => this.#traceable(link)),
    );
  }

  stopTrace(name: string): Trace {
    return this.#traces.stop(name);
  }

  #traceable({ spec, directions, plugged }: Plugged): TraceableLink {
    const one = (index: 0 | 1) => {
      const from = plugged[index];
      const to = plugged[index === 0 ? 1 : 0];
      const direction = directions[index];
      return {
        direction,
        connect: (entry: Sink) => {
          if (from instanceof SwitchPort) from.out = entry;
          else if (from instanceof Nic) from.plug(entry, direction.up);
          else if (from instanceof Outlet) from.plug(entry);
          else if (from instanceof HostTap) from.lead(entry);
        },
        behind: countersBehind(to),
      };
    };
    return { spec, directions: [one(0), one(1)] };
  }

  /** At the end: lets the captures' writers finish, for a while. */
  close(): void {
    this.#captures.close();
  }

  counters(): FabricCounters {
    return {
      nics: [...this.#nics.values()].map((nic) => nic.counters()),
      links: [...this.#links.values()].map(({ spec, directions }) => ({
        link: spec.link,
        ends: spec.ends,
        impairments: spec.impairments,
        up: directions[0].up,
        directions: [directions[0].counters.toJSON(), directions[1].counters.toJSON()],
      })),
      switches: [...this.#switches.values()].map((one) => one.counters()),
      outlets: [
        ...[...this.#outlets.values()].map((one) => one.counters()),
        ...[...this.#links.values()].flatMap(tapsOf).map((one) => one.counters()),
      ],
      captures: this.#captures.counters(),
      watches: this.#watches.counters(),
    };
  }

  #impair(
    spec: LinkSpec,
    directions: Plugged["directions"],
    impairments: LinkSpec["impairments"],
  ): void {
    directions.forEach((direction, index) => {
      const impairment = impairments[index as 0 | 1];
      if (isPerfect(impairment)) direction.mend();
      else direction.impair(impairment, spec.seed, `impairment:${index}`);
      const known = this.#impaired.includes(direction);
      if (direction.isImpaired && !known) this.#impaired.push(direction);
    });
  }

  workbench(): Workbench {
    this.#bench ??= new Workbench(this.arenas);
    return this.#bench;
  }

  #checkFree(end: LinkEnd): void {
    if (end.kind === "switch") {
      this.#switch(end.switch);
      for (const vlan of [end.vlan ?? 1, ...(end.trunk ?? [])]) {
        if (!(Number.isInteger(vlan) && vlan >= 1 && vlan <= 4094)) {
          throw new FabricRequestError(`there is no VLAN ${vlan}`);
        }
      }
    } else if (end.kind !== "tap") {
      const one = end.kind === "nic" ? this.#nicOf(end) : this.#outlet(end.outlet);
      if (one.isPlugged) throw new FabricRequestError(`${endName(end)} is plugged in already`);
    }
  }

  #plug(end: LinkEnd, spec: LinkSpec, direction: LinkDirection, tap: HostTap | undefined): Sink {
    if (end.kind === "switch") return this.#switch(end.switch).plug(spec.link, direction, end);
    if (end.kind === "outlet") {
      const outlet = this.#outlet(end.outlet);
      outlet.plug(direction);
      return outlet;
    }
    if (end.kind === "tap") {
      (tap as HostTap).plug(direction, spec.up);
      return tap as HostTap;
    }
    const nic = this.#nicOf(end);
    nic.plug(direction, spec.up);
    return nic;
  }

  #nicOf(end: LinkEnd): Nic {
    return this.#nic((end as LinkEnd & { kind: "nic" }).nic);
  }

  #nic(name: string): Nic {
    const nic = this.#nics.get(name);
    if (nic === undefined) throw new FabricRequestError(`there is no NIC ${name}`);
    return nic;
  }

  #switch(name: string): Switch {
    const found = this.#switches.get(name);
    if (found === undefined) throw new FabricRequestError(`there is no switch ${name}`);
    return found;
  }

  #outlet(name: string): Outlet {
    const outlet = this.#outlets.get(name);
    if (outlet === undefined) throw new FabricRequestError(`there is no way out ${name}`);
    return outlet;
  }

  #link(name: string): Plugged {
    const link = this.#links.get(name);
    if (link === undefined) throw new FabricRequestError(`there is no link ${name}`);
    return link;
  }
}

const tapsOf = ({ plugged }: Plugged): HostTap[] =>
  plugged.filter((one): one is HostTap => one instanceof HostTap);

/** Where it is counted what becomes of frames at the end of a link. */
function countersBehind(to: Sink): Counters {
  if (to instanceof Nic) return to.toGuest;
  if (to instanceof SwitchPort) return to.counters;
  return to instanceof HostTap ? to.fromLab : NOT_COUNTED;
}

function checkImpairments(impairments: LinkSpec["impairments"]): void {
  for (const one of impairments) {
    const wrong = whatIsWrong(one);
    if (wrong !== undefined) throw new FabricRequestError(wrong);
  }
}
