/**
 * All that moves frames in a lab: NICs, switches, links, and the loop that drains them. It knows no
 * process and no control socket (`fabric-main.ts` has those), so tests and benches drive it directly.
 *
 *     epoll --> kicked NICs --> active queue --> drain(budget) ... --> publish what was received
 */

import { Arenas } from "./arena.ts";
import type {
  FabricCounters,
  FabricEvent,
  Impairment,
  LinkEnd,
  LinkSpec,
  NicSpec,
  SwitchSpec,
} from "./control/messages.ts";
import { LinkDirection, type Sink } from "./link.ts";
import { Nic, type NicHost } from "./nic.ts";
import { Switch, type SwitchPort } from "./switch.ts";

/** Frames a NIC may move before the next one has its turn. */
const BUDGET = 128;

/** A request that can't be done; the message says why. */
export class FabricRequestError extends Error {}

/** Descriptors of NICs: the core says what to watch, and is told what was kicked. */
export interface Watcher {
  listen(nic: Nic): void;
  unlisten(nic: Nic): void;
  watch(nic: Nic, fd: number, queue: number): void;
  unwatch(fd: number): void;
}

interface Plugged {
  readonly spec: LinkSpec;
  readonly directions: readonly [LinkDirection, LinkDirection];
  readonly ports: readonly [SwitchPort | undefined, SwitchPort | undefined];
}

export class FabricCore implements NicHost {
  readonly arenas = new Arenas();
  readonly clock = { nowMs: 0 };
  readonly #watcher: Watcher;
  readonly #emit: (event: FabricEvent) => void;
  readonly #nics = new Map<string, Nic>();
  readonly #switches = new Map<string, Switch>();
  readonly #links = new Map<string, Plugged>();
  /** NICs with frames to drain, and the ones whose turn comes after. */
  #active: Nic[] = [];
  #next: Nic[] = [];
  readonly #received: Nic[] = [];
  readonly #full = new Set<Nic>();

  constructor(watcher: Watcher, emit: (event: FabricEvent) => void) {
    this.#watcher = watcher;
    this.#emit = emit;
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
    for (let i = 0; i < this.#received.length; i++) this.#received[i]!.publish();
    this.#received.length = 0;
    return this.#active.length > 0;
  }

  /** How long the loop may sleep, milliseconds; -1 for as long as it takes. */
  get patienceMs(): number {
    return this.#full.size > 0 ? 5 : -1;
  }

  /** Looks after receivers that are full. */
  tick(): void {
    for (const nic of this.#full) {
      if (nic.checkStalled(this.clock.nowMs) || !nic.hasWaiters) this.#full.delete(nic);
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

  activate(nic: Nic): void {
    if (nic.active) return;
    nic.active = true;
    this.#active.push(nic);
  }

  received(nic: Nic): void {
    this.#received.push(nic);
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
    this.#switches.set(spec.switch, new Switch(spec, this.clock));
  }

  removeSwitch(name: string): void {
    if (!this.#switch(name).isEmpty) {
      throw new FabricRequestError(`the switch ${name} still has links`);
    }
    this.#switches.delete(name);
  }

  addLink(spec: LinkSpec): void {
    if (this.#links.has(spec.link)) {
      throw new FabricRequestError(`there is a link ${spec.link} already`);
    }
    this.#refuseImpairments(spec.link, spec.impairments);
    const [a, b] = spec.ends;
    for (const end of spec.ends) this.#checkFree(end);
    if (a.kind === "nic" && b.kind === "nic" && a.nic === b.nic) {
      throw new FabricRequestError(`the link ${spec.link} begins and ends at ${a.nic}`);
    }
    const nowhere: Sink = { send: () => true };
    const directions = [
      new LinkDirection(nowhere, spec.up),
      new LinkDirection(nowhere, spec.up),
    ] as const;
    const portA = this.#plug(a, spec, directions[0]);
    const portB = this.#plug(b, spec, directions[1]);
    directions[0].leadTo(portB ?? this.#nicOf(b));
    directions[1].leadTo(portA ?? this.#nicOf(a));
    this.#links.set(spec.link, { spec, directions, ports: [portA, portB] });
  }

  removeLink(name: string): void {
    const link = this.#link(name);
    link.spec.ends.forEach((end, index) => {
      if (end.kind === "nic") this.#nicOf(end).plug(undefined, false);
      else this.#switch(end.switch).unplug(link.ports[index] as SwitchPort);
    });
    this.#links.delete(name);
  }

  setLinkState(name: string, up: boolean): void {
    const { spec, directions } = this.#link(name);
    for (const direction of directions) direction.up = up;
    for (const end of spec.ends) if (end.kind === "nic") this.#nicOf(end).setLinkUp(up);
  }

  setImpairments(name: string, impairments: LinkSpec["impairments"]): void {
    this.#link(name);
    this.#refuseImpairments(name, impairments);
  }

  counters(): FabricCounters {
    return {
      nics: [...this.#nics.values()].map((nic) => nic.counters()),
      links: [...this.#links.values()].map(({ spec, directions }) => ({
        link: spec.link,
        up: directions[0].up,
        directions: [directions[0].counters.toJSON(), directions[1].counters.toJSON()],
      })),
      switches: [...this.#switches.values()].map((one) => ({
        switch: one.spec.switch,
        flooded: one.flooded,
        addresses: one.addresses(),
      })),
    };
  }

  #refuseImpairments(link: string, impairments: readonly [Impairment, Impairment]): void {
    if (impairments.some((one) => Object.values(one).some((value) => value !== undefined))) {
      throw new FabricRequestError(`the link ${link} is impaired, which the fabric can't do yet`);
    }
  }

  #checkFree(end: LinkEnd): void {
    if (end.kind === "switch") {
      this.#switch(end.switch);
      if (end.vlan !== undefined || end.trunk !== undefined) {
        throw new FabricRequestError("VLANs are not there yet");
      }
    } else if (this.#nicOf(end).isPlugged) {
      throw new FabricRequestError(`the NIC ${end.nic} is plugged in already`);
    }
  }

  #plug(end: LinkEnd, spec: LinkSpec, direction: LinkDirection): SwitchPort | undefined {
    if (end.kind === "switch") return this.#switch(end.switch).plug(spec.link, direction);
    this.#nicOf(end).plug(direction, spec.up);
    return undefined;
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

  #link(name: string): Plugged {
    const link = this.#links.get(name);
    if (link === undefined) throw new FabricRequestError(`there is no link ${name}`);
    return link;
  }
}
