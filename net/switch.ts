/**
 * A learning switch, or a hub: a MAC table and one port for each link that is plugged in.
 *
 *     link --> port.send --> learn, look up --> port.out --> link
 *                                 | unknown or group: every other port
 */

import type { SwitchSpec } from "./control/messages.ts";
import { Counters } from "./counters.ts";
import type { Frame } from "./frame.ts";
import type { Sink } from "./link.ts";
import { MacTable } from "./mac-table.ts";

/** 802.1Q §8.6.3: 01:80:C2:00:00:00 to 0F stay on their link. */
const RESERVED_HIGH = 0x0180;
const RESERVED_LOW = 0xc2000000 | 0;
const RESERVED_COUNT = 16;

/** Copies that one frame may become before it is taken for a storm. */
const MOST_COPIES = 4096;

export class SwitchPort implements Sink {
  readonly link: string;
  readonly number: number;
  readonly counters = new Counters();
  readonly #owner: Switch;
  out: Sink;

  constructor(owner: Switch, link: string, number: number, out: Sink) {
    this.#owner = owner;
    this.link = link;
    this.number = number;
    this.out = out;
  }

  send(frame: Frame): boolean {
    return this.#owner.forward(this, frame);
  }
}

export class Switch {
  readonly spec: SwitchSpec;
  flooded = 0;
  readonly #table: MacTable;
  readonly #clock: { readonly nowMs: number };
  /** By port number; a port that was unplugged leaves undefined. */
  readonly #ports: (SwitchPort | undefined)[] = [];

  constructor(spec: SwitchSpec, clock: { readonly nowMs: number }) {
    this.spec = spec;
    this.#table = new MacTable(spec.ageingMs);
    this.#clock = clock;
  }

  plug(link: string, out: Sink): SwitchPort {
    const free = this.#ports.indexOf(undefined);
    const number = free < 0 ? this.#ports.length : free;
    const port = new SwitchPort(this, link, number, out);
    this.#ports[number] = port;
    return port;
  }

  unplug(port: SwitchPort): void {
    this.#table.forgetPort(port.number);
    this.#ports[port.number] = undefined;
  }

  get isEmpty(): boolean {
    return this.#ports.every((port) => port === undefined);
  }

  addresses() {
    return this.#table.entries(this.#clock.nowMs).map(({ mac, vlan, port, ageMs }) => ({
      mac,
      vlan,
      link: this.#ports[port]?.link ?? "",
      ageMs: Math.round(ageMs),
    }));
  }

  forward(from: SwitchPort, frame: Frame): boolean {
    if (this.spec.hub) return this.#flood(from, frame);
    const { nowMs } = this.#clock;
    if (frame.toHigh === RESERVED_HIGH && (frame.toLow & ~(RESERVED_COUNT - 1)) === RESERVED_LOW) {
      from.counters.drop("reserved-group");
      return true;
    }
    // a group address is nobody's source
    if ((frame.fromHigh & 0x100) === 0) {
      this.#table.learn(frame.fromHigh, frame.fromLow, 0, from.number, nowMs);
    }
    if (!frame.isGroup) {
      const number = this.#table.find(frame.toHigh, frame.toLow, 0, nowMs);
      if (number === from.number) return true;
      const port = number < 0 ? undefined : this.#ports[number];
      if (port !== undefined) return port.out.send(frame);
    }
    return this.#flood(from, frame);
  }

  #flood(from: SwitchPort, frame: Frame): boolean {
    const { patient } = frame;
    // who can't take a copy now goes without: one slow guest must not hold up the others
    frame.patient = false;
    this.flooded++;
    const ports = this.#ports;
    let copies = 0;
    for (let i = 0; i < ports.length; i++) {
      const port = ports[i];
      if (port === undefined || port === from) continue;
      if (frame.hops > 8 && ++copies > MOST_COPIES) break;
      port.out.send(frame);
    }
    frame.patient = patient;
    return true;
  }
}
