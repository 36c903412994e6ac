/** A fabric in this process with mock guests on it, and frames for them to send. */

import type { FabricEvent, Impairment, LinkEnd } from "../../../net/control/messages.ts";
import { FabricCore, type Worker } from "../../../net/fabric-core.ts";
import { Nic } from "../../../net/nic.ts";
import { FakeTap } from "./fake-tap.ts";
import { MockGuest, type MockOptions } from "./mock-guest.ts";

const MTU = 1500;

export class MockLab implements Disposable {
  readonly events: FabricEvent[] = [];
  /** TAPs that were opened, by their names at the host. */
  readonly taps = new Map<string, FakeTap>();
  /** The host has none. */
  noTaps = false;
  /** Who waits at a descriptor of its own. */
  readonly workers: Worker[] = [];
  readonly #nics = new Map<string, Nic>();
  readonly #guests = new Set<MockGuest>();
  readonly core = new FabricCore(
    {
      listen: (who) => who instanceof Nic && this.#nics.set(who.spec.nic, who),
      unlisten: (who) => who instanceof Nic && this.#nics.delete(who.spec.nic),
      openTap: (device) => {
        if (this.noTaps) throw new Error("no TAP for us");
        const tap = new FakeTap();
        this.taps.set(device, tap);
        return tap;
      },
      watchWorker: (worker) => this.workers.push(worker),
      watch: () => {},
      unwatch: () => {},
    },
    (event) => this.events.push(event),
  );

  /** Each name becomes a NIC on the switch `lan`, and a guest that is connected to it. */
  static star(names: readonly string[], options: { hub?: boolean; guest?: MockOptions } = {}) {
    const lab = new MockLab();
    lab.core.addSwitch({ switch: "lan", hub: options.hub ?? false, ageingMs: 300_000 });
    const guests = names.map((name, index) => {
      lab.addNic(name, index + 1);
      lab.link(name, { kind: "switch", switch: "lan" });
      return lab.boot(name, options.guest);
    });
    return { lab, guests };
  }

  addNic(name: string, number: number, mtu = MTU): void {
    this.core.addNic({ nic: name, socketPath: "", mac: macText(number), mtu });
  }

  /** Plugs a TAP of the host into a switch; its cable is called `lan:tap0`. */
  addTap(device: string, lan = "lan"): FakeTap {
    const tap = `${lan}:${device}`;
    this.core.addLink({
      link: tap,
      ends: [
        { kind: "switch", switch: lan },
        { kind: "tap", tap, device },
      ],
      up: true,
      impairments: [{}, {}],
      seed: 1,
    });
    return this.taps.get(device) as FakeTap;
  }

  link(
    nic: string,
    other: LinkEnd,
    impairments: readonly [Impairment, Impairment] = [{}, {}],
  ): void {
    const ends = [{ kind: "nic", nic } as const, other] as const;
    this.core.addLink({ link: `${nic}-link`, ends, up: true, impairments, seed: 1 });
  }

  /** Connects a new guest to a NIC that is there; one before it is hung up by the fabric. */
  boot(nic: string, options: MockOptions = {}): MockGuest {
    const guest = new MockGuest(this.core, this.#nics.get(nic) as Nic, options);
    this.#guests.add(guest);
    return guest;
  }

  /** The guest and its memory go. */
  remove(guest: MockGuest): void {
    this.#guests.delete(guest);
    guest[Symbol.dispose]();
  }

  /** Turns until no frame moves. A thousand turns without an end are a bug. */
  run(): void {
    for (let turns = 0; this.core.turn(); turns++) {
      if (turns === 1000) throw new Error("the fabric does not come to rest");
    }
  }

  /** Lets time pass: the loop's clock, the look after full receivers, and a turn. */
  pass(ms: number): void {
    this.core.clock.nowMs += ms;
    this.core.clock.nowNs += ms * 1e6;
    this.core.tick();
    this.run();
  }

  drops(nic: string) {
    const counters = this.core.counters().nics.find((one) => one.nic === nic);
    return { from: counters?.fromGuest.drops, to: counters?.toGuest.drops };
  }

  [Symbol.dispose](): void {
    for (const guest of this.#guests) guest[Symbol.dispose]();
    this.#guests.clear();
  }
}

export const mac = (number: number): Buffer =>
  Buffer.from([2, 0, 0, 0, number >> 8, number & 0xff]);

const macText = (number: number): string =>
  [...mac(number)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");

export const BROADCAST = Buffer.alloc(6, 0xff);

/** An Ethernet frame of an experimental type (IEEE 802, 88-B5) with a payload that tells itself. */
export function frameOf(to: Buffer, from: Buffer, bytes = 64, fill = 0): Buffer {
  const frame = Buffer.alloc(bytes);
  to.copy(frame, 0);
  from.copy(frame, 6);
  frame.writeUInt16BE(0x88b5, 12);
  for (let i = 14; i < bytes; i++) frame[i] = (i + fill) & 0xff;
  return frame;
}
