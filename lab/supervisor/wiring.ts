/**
 * What a lab's frames move through, as it is now: NICs, switches, cables and ways out in the fabric.
 * Each call sends its request at once, so calls that follow each other need not be awaited one by
 * one; what the fabric refuses is not there.
 */

import { join } from "node:path";
import type { ProcessRecord } from "../../base/processes.ts";
import type {
  FabricRequest,
  Impairment,
  LinkSpec,
  NicSpec,
  SwitchSpec,
  WatchSpec,
} from "../../net/control/messages.ts";
import type { RunningFabric } from "../../net/fabric.ts";
import type { RunningPasst } from "../../net/passt.ts";
import { nicsOf } from "../plan/nics.ts";
import type { OutletPlan } from "../plan/outlets.ts";
import type { GuestPlan } from "../plan/plan.ts";
import { nicPath } from "../run-folder.ts";
import { openWayOut, wayOutLink, wayOutNic, wayOutOutlet } from "./ways-out.ts";

export interface WiringOptions {
  readonly fabric: RunningFabric;
  readonly folder: string;
  readonly onProcess: (what: string, record: ProcessRecord) => void;
  readonly log: (message: string) => void;
}

interface PluggedNic {
  readonly spec: NicSpec;
  /** The number of its socket. */
  readonly index: number;
}

export class Wiring implements AsyncDisposable {
  readonly fabric: RunningFabric;
  readonly #options: WiringOptions;
  readonly #switches = new Map<string, SwitchSpec>();
  readonly #nics = new Map<string, PluggedNic>();
  readonly #links = new Map<string, LinkSpec>();
  readonly #waysOut = new Map<string, Promise<RunningPasst>>();
  readonly #watches = new Map<string, WatchSpec>();
  /** Numbers of sockets: those given back, and the next that nobody had. */
  readonly #freeIndices: number[] = [];
  #nextIndex = 0;

  constructor(options: WiringOptions) {
    this.#options = options;
    this.fabric = options.fabric;
  }

  get switches(): readonly SwitchSpec[] {
    return [...this.#switches.values()];
  }

  /** With the impairments they have now, and up or down as they are. Ways out are among them. */
  get links(): readonly LinkSpec[] {
    return [...this.#links.values()];
  }

  get nics(): readonly NicSpec[] {
    return [...this.#nics.values()].map(({ spec }) => spec);
  }

  /** Guests whose way out is open. */
  get waysOut(): readonly string[] {
    return [...this.#waysOut.keys()];
  }

  link(name: string): LinkSpec | undefined {
    return this.#links.get(name);
  }

  /** Where the guest's kernel finds its NICs, in the order of its interfaces. */
  socketsOf(guest: GuestPlan): string[] {
    return nicsOf(guest).map(({ nic }) => (this.#nics.get(nic) as PluggedNic).spec.socketPath);
  }

  /** Records every frame, from now on. */
  async record(path: string): Promise<void> {
    const spec = { capture: "record", of: { kind: "all" as const }, output: { path } };
    await this.fabric.request({ op: "capture-start", spec });
  }

  addSwitch(spec: SwitchSpec): Promise<void> {
    return this.#add(this.#switches, spec.switch, spec, { op: "add-switch", spec });
  }

  removeSwitch(name: string): Promise<void> {
    return this.#remove(this.#switches, name, { op: "remove-switch", switch: name });
  }

  addNic({ nic, mac, mtu }: Omit<NicSpec, "socketPath">): Promise<void> {
    const index = this.#freeIndices.pop() ?? this.#nextIndex++;
    const spec = { nic, mac, mtu, socketPath: nicPath(this.#options.folder, index) };
    return this.#add(this.#nics, nic, { spec, index }, { op: "add-nic", spec });
  }

  async removeNic(nic: string): Promise<void> {
    const index = this.#nics.get(nic)?.index;
    await this.#remove(this.#nics, nic, { op: "remove-nic", nic });
    if (index !== undefined) this.#freeIndices.push(index);
  }

  addLink(spec: LinkSpec): Promise<void> {
    return this.#add(this.#links, spec.link, spec, { op: "add-link", spec });
  }

  removeLink(name: string): Promise<void> {
    return this.#remove(this.#links, name, { op: "remove-link", link: name });
  }

  async impair(name: string, impairments: readonly [Impairment, Impairment]): Promise<void> {
    await this.fabric.request({ op: "set-link", link: name, impairments });
    this.#change(name, { impairments });
  }

  async setUp(name: string, up: boolean): Promise<void> {
    await this.fabric.request({ op: "link-state", link: name, up });
    this.#change(name, { up });
  }

  #change(name: string, change: Partial<LinkSpec>): void {
    const link = this.#links.get(name);
    if (link !== undefined) this.#links.set(name, { ...link, ...change });
  }

  /**
   * Plugs the guest's NIC for it in, and starts what is behind it. Throws NO_RIGHT.
   * @param program passt.
   */
  async openWayOut(guest: string, outlet: OutletPlan, program: string): Promise<void> {
    const { folder, onProcess, log } = this.#options;
    const { index } = this.#nics.get(wayOutNic(guest)) as PluggedNic;
    const link = wayOutLink(guest);
    this.#links.set(link.link, link);
    const running = openWayOut({
      ...{ guest, outlet, program, folder, index, onProcess },
      fabric: this.fabric,
    });
    this.#waysOut.set(guest, running);
    try {
      const { exited } = await running;
      void exited.then((how) => {
        if (this.#waysOut.get(guest) !== running) return;
        this.#waysOut.delete(guest);
        log(`the way out of ${guest} is gone: passt ended (${how})`);
      });
    } catch (error) {
      await this.closeWayOut(guest).catch(() => {}); // the first error is the one to tell
      throw error;
    }
  }

  /** Ends it; the guest's NIC stays, with no cable. */
  async closeWayOut(guest: string): Promise<void> {
    const { link } = wayOutLink(guest);
    if (!this.#links.has(link)) return;
    const way = this.#waysOut.get(guest);
    this.#waysOut.delete(guest);
    await (await way?.catch(() => undefined))?.[Symbol.asyncDispose]();
    await this.removeLink(link);
    await this.fabric.request({ op: "remove-outlet", outlet: wayOutOutlet(guest) });
  }

  /** From now on these frames are counted; counts of those that were before go on. */
  async watch(specs: readonly WatchSpec[]): Promise<void> {
    const wanted = new Map(specs.map((spec) => [spec.watch, spec]));
    const same = ([name, spec]: [string, WatchSpec]) =>
      JSON.stringify(wanted.get(name)) === JSON.stringify(spec);
    const gone = [...this.#watches].filter((entry) => !same(entry));
    await Promise.all(
      gone.map(([watch]) => this.#remove(this.#watches, watch, { op: "watch-stop", watch })),
    );
    const more = specs.filter(({ watch }) => !this.#watches.has(watch));
    await Promise.all(
      more.map((spec) => this.#add(this.#watches, spec.watch, spec, { op: "watch-start", spec })),
    );
  }

  async #add<T>(map: Map<string, T>, name: string, value: T, request: FabricRequest) {
    const before = map.get(name);
    map.set(name, value);
    try {
      await this.fabric.request(request);
    } catch (error) {
      if (before === undefined) map.delete(name);
      else map.set(name, before);
      throw error;
    }
  }

  async #remove(map: Map<string, unknown>, name: string, request: FabricRequest) {
    await this.fabric.request(request);
    map.delete(name);
  }

  /** Ends the ways out; the fabric is its owner's. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ways = [...this.#waysOut.values()];
    this.#waysOut.clear();
    for (const way of ways) {
      await (await way.catch(() => undefined))?.[Symbol.asyncDispose]();
    }
  }
}

/** Where all of a lab is recorded. */
export const recordPath = (folder: string, lab: string): string => join(folder, `${lab}.pcapng`);
