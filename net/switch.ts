/**
 * A learning switch, or a hub: a MAC table and one port for each link that is plugged in.
 *
 *     link --> port.send --> learn, look up --> port.out --> link
 *                                 | unknown or group: every other port
 *
 * A switch none of whose ports says anything of VLANs lets tags through as they are, like a bridge
 * without VLAN filtering; as soon as one does, all of its ports belong to VLANs (vlan.ts).
 */

import type { LinkEnd, SwitchCounters, SwitchSpec } from "./control/messages.ts";
import { Counters } from "./counters.ts";
import type { Frame } from "./frame.ts";
import type { Sink } from "./link.ts";
import { MacTable } from "./mac-table.ts";
import type { StormGuard } from "./storm-guard.ts";
import { NO_TAG, PortVlans, type Retagger, VLAN_MASK } from "./vlan.ts";
import { ETHERTYPE_VLAN } from "./wire/ethernet.ts";

/** 802.1Q §8.6.3: 01:80:C2:00:00:00 to 0F stay on their link. */
const RESERVED_HIGH = 0x0180;
const RESERVED_LOW = 0xc2000000 | 0;
const RESERVED_COUNT = 16;

/** What switches of one fabric share. */
export interface SwitchHost {
  readonly clock: { readonly nowMs: number };
  readonly storms: StormGuard;
  readonly retagger: Retagger;
}

type PortEnd = Pick<LinkEnd & { kind: "switch" }, "vlan" | "trunk">;

/** For so long a frame may follow the one before without a look into the table. */
const LAST_WAY_MS = 20;

export class SwitchPort implements Sink {
  /** The addresses of its last frame, and the port they led to. */
  readonly last = {
    toHigh: -1,
    toLow: 0,
    fromHigh: -1,
    fromLow: 0,
    vlan: 0,
    port: -1,
    changes: -1,
    untilMs: 0,
  };
  readonly link: string;
  readonly number: number;
  readonly end: PortEnd;
  readonly vlans: PortVlans;
  readonly counters = new Counters();
  readonly #owner: Switch;
  out: Sink;

  constructor(owner: Switch, link: string, number: number, out: Sink, end: PortEnd) {
    this.#owner = owner;
    this.link = link;
    this.number = number;
    this.out = out;
    this.end = end;
    this.vlans = new PortVlans(end.vlan, end.trunk);
  }

  get speaksOfVlans(): boolean {
    return this.end.vlan !== undefined || this.end.trunk !== undefined;
  }

  send(frame: Frame): boolean {
    return this.#owner.forward(this, frame);
  }
}

export class Switch {
  readonly spec: SwitchSpec;
  flooded = 0;
  readonly #table: MacTable;
  readonly #host: SwitchHost;
  /** By port number; a port that was unplugged leaves undefined. */
  readonly #ports: (SwitchPort | undefined)[] = [];
  #knowsVlans = false;

  constructor(spec: SwitchSpec, host: SwitchHost) {
    this.spec = spec;
    this.#table = new MacTable(spec.ageingMs);
    this.#host = host;
  }

  plug(link: string, out: Sink, end: PortEnd = {}): SwitchPort {
    const free = this.#ports.indexOf(undefined);
    const number = free < 0 ? this.#ports.length : free;
    const port = new SwitchPort(this, link, number, out, end);
    this.#ports[number] = port;
    this.#lookForVlans();
    return port;
  }

  unplug(port: SwitchPort): void {
    this.#table.forgetPort(port.number);
    this.#ports[port.number] = undefined;
    this.#lookForVlans();
  }

  get isEmpty(): boolean {
    return this.#ports.every((port) => port === undefined);
  }

  counters(): SwitchCounters {
    return {
      switch: this.spec.switch,
      flooded: this.flooded,
      ports: this.#ports
        .filter((port) => port !== undefined)
        .map(({ link, counters }) => ({ link, drops: counters.toJSON().drops })),
      addresses: this.addresses(),
    };
  }

  addresses(): SwitchCounters["addresses"] {
    return this.#table.entries(this.#host.clock.nowMs).map(({ mac, vlan, port, ageMs }) => ({
      mac,
      vlan,
      link: this.#ports[port]?.link ?? "",
      ageMs: Math.round(ageMs),
    }));
  }

  forward(from: SwitchPort, frame: Frame): boolean {
    if (this.spec.hub) return this.#flood(from, frame);
    if (frame.toHigh === RESERVED_HIGH && (frame.toLow & ~(RESERVED_COUNT - 1)) === RESERVED_LOW) {
      from.counters.drop("reserved-group");
      return true;
    }
    if (this.#knowsVlans) return this.#forwardInVlan(from, frame);
    const number = this.#learnAndFind(from, frame, 0);
    if (number === from.number) return true;
    const port = number < 0 ? undefined : this.#ports[number];
    return port === undefined ? this.#flood(from, frame) : port.out.send(frame);
  }

  /** The number of the port behind which the frame's receiver was seen, or -1. */
  #learnAndFind(from: SwitchPort, frame: Frame, vlan: number): number {
    const { nowMs } = this.#host.clock;
    const { last } = from;
    // most frames go the way of the one before
    if (
      last.toLow === frame.toLow &&
      last.fromLow === frame.fromLow &&
      last.toHigh === frame.toHigh &&
      last.fromHigh === frame.fromHigh &&
      last.vlan === vlan &&
      last.changes === this.#table.changes &&
      nowMs <= last.untilMs
    ) {
      return last.port;
    }
    const port = this.#lookUp(from, frame, vlan, nowMs);
    last.toHigh = frame.toHigh;
    last.toLow = frame.toLow;
    last.fromHigh = frame.fromHigh;
    last.fromLow = frame.fromLow;
    last.vlan = vlan;
    last.port = port;
    last.changes = this.#table.changes;
    last.untilMs = nowMs + LAST_WAY_MS;
    if (port >= 0) last.untilMs = Math.min(last.untilMs, this.#table.foundUntilMs);
    return port;
  }

  #lookUp(from: SwitchPort, frame: Frame, vlan: number, nowMs: number): number {
    // a group address is nobody's source
    if ((frame.fromHigh & 0x100) === 0) {
      this.#table.learn(frame.fromHigh, frame.fromLow, vlan, from.number, nowMs);
    }
    return frame.isGroup ? -1 : this.#table.find(frame.toHigh, frame.toLow, vlan, nowMs);
  }

  #flood(from: SwitchPort, frame: Frame): boolean {
    const { patient } = frame;
    // who can't take a copy now goes without: one slow guest must not hold up the others
    frame.patient = false;
    this.flooded++;
    const ports = this.#ports;
    for (let i = 0; i < ports.length; i++) {
      const port = ports[i];
      if (port === undefined || port === from) continue;
      if (this.#admits(from, frame)) port.out.send(frame);
    }
    frame.patient = patient;
    return true;
  }

  #admits(from: SwitchPort, frame: Frame): boolean {
    if (frame.hops <= 1 || this.#host.storms.admit()) return true;
    from.counters.drop("storm");
    return false;
  }

  // ------------------------------------------------------------------ VLANs

  #lookForVlans(): void {
    this.#knowsVlans = this.#ports.some((port) => port?.speaksOfVlans === true);
  }

  #forwardInVlan(from: SwitchPort, frame: Frame): boolean {
    const hasTag = frame.etherType === ETHERTYPE_VLAN;
    const control = hasTag ? frame.tagControl : 0;
    // a tag of VLAN 0 tells a priority and nothing else (§6.9.1)
    const tagged = control & VLAN_MASK;
    const vlan = tagged === 0 ? from.vlans.native : tagged;
    if (control < 0 || vlan === 0 || (tagged !== 0 && !from.vlans.carriesTagged(tagged))) {
      from.counters.drop(control < 0 ? "malformed" : "vlan");
      return true;
    }
    const number = this.#learnAndFind(from, frame, vlan);
    if (number === from.number) return true;
    const port = number < 0 ? undefined : this.#ports[number];
    if (port?.vlans.has(vlan)) {
      const fitting = this.#fit(port, frame, vlan, hasTag, control);
      if (fitting !== undefined) return port.out.send(fitting);
      from.counters.drop("malformed");
      return true;
    }
    return this.#floodInVlan(from, frame, vlan, hasTag, control);
  }

  #floodInVlan(
    from: SwitchPort,
    frame: Frame,
    vlan: number,
    hasTag: boolean,
    control: number,
  ): boolean {
    const { patient } = frame;
    frame.patient = false;
    this.flooded++;
    let plain: Frame | undefined;
    let withTag: Frame | undefined;
    for (let i = 0; i < this.#ports.length; i++) {
      const port = this.#ports[i];
      if (port === undefined || port === from || !port.vlans.has(vlan)) continue;
      if (!this.#admits(from, frame)) continue;
      let fitting: Frame | undefined;
      if (vlan === port.vlans.native) {
        plain ??= this.#fit(port, frame, vlan, hasTag, control);
        fitting = plain;
      } else {
        withTag ??= this.#fit(port, frame, vlan, hasTag, control);
        fitting = withTag;
      }
      if (fitting === undefined) {
        from.counters.drop("malformed");
        break;
      }
      port.out.send(fitting);
    }
    frame.patient = patient;
    return true;
  }

  /** The frame as the cable at that port carries it. */
  #fit(port: SwitchPort, frame: Frame, vlan: number, hasTag: boolean, control: number) {
    if (vlan === port.vlans.native) {
      return hasTag ? this.#host.retagger.retag(frame, true, NO_TAG) : frame;
    }
    const wanted = (control & ~VLAN_MASK) | vlan;
    return hasTag && wanted === control ? frame : this.#host.retagger.retag(frame, hasTag, wanted);
  }
}
