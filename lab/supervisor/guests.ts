/** The guests of a running lab: a keeper and a plan each, and the CPUs they share. */

import { isDeepStrictEqual } from "node:util";
import { LabError } from "../../base/errors.ts";
import type { ProcessRecord } from "../../base/processes.ts";
import type {
  BootOptions,
  GuestSpec,
  Image,
  Kernel,
  RunningGuest,
} from "../../kernel/guest/spec.ts";
import type { GuestState } from "../api.ts";
import { Limiter } from "../limiter.ts";
import { setupWithOutlet } from "../plan/outlets.ts";
import type { GuestPlan } from "../plan/plan.ts";
import { guestFolder } from "../run-folder.ts";
import { GuestKeeper } from "./guest-keeper.ts";
import { allowedCpus } from "./usage.ts";

export interface GuestsOptions {
  /** The lab's name, for messages. */
  readonly lab: string;
  readonly folder: string;
  readonly bootGuest: (spec: GuestSpec, options: BootOptions) => Promise<RunningGuest>;
  readonly onProcess: (what: string, record: ProcessRecord) => void;
  readonly onState: (guest: string, state: GuestState, ms: number | undefined) => void;
}

/** What a guest is made of, besides its plan. */
export interface GuestParts {
  readonly kernel: Kernel;
  readonly image: Image;
  /** Undefined where it has none. */
  readonly disk: string | undefined;
  readonly nicSockets: readonly string[];
}

interface Kept {
  readonly keeper: GuestKeeper;
  plan: GuestPlan;
}

export class Guests implements AsyncDisposable {
  readonly #options: GuestsOptions;
  readonly #cpus = allowedCpus();
  readonly #boots = new Limiter(bootsAtOnce(this.#cpus.length));
  #kept = new Map<string, Kept>();

  constructor(options: GuestsOptions) {
    this.#options = options;
  }

  get cpus(): number {
    return this.#cpus.length;
  }

  get keepers(): GuestKeeper[] {
    return [...this.#kept.values()].map(({ keeper }) => keeper);
  }

  /** Each as it is, with what it was planned to be. */
  get states(): { readonly plan: GuestPlan; readonly state: GuestState }[] {
    return [...this.#kept.values()].map(({ plan, keeper }) => ({ plan, state: keeper.state }));
  }

  /** Throws NO_SUCH_GUEST. */
  keeper(name: string): GuestKeeper {
    const kept = this.#kept.get(name);
    if (kept !== undefined) return kept.keeper;
    throw new LabError("NO_SUCH_GUEST", `lab ${this.#options.lab} has no guest ${name}`, {
      hint: `one of ${[...this.#kept.keys()].join(", ")}`,
    });
  }

  /** One that does not run yet. @param onHeld its kernel waits for a debugger, and this is called when it does. */
  add(plan: GuestPlan, parts: GuestParts, onHeld?: () => void): GuestKeeper {
    const { bootGuest, onProcess, onState } = this.#options;
    const keeper = new GuestKeeper({
      spec: this.#specOf(plan, parts, this.#idlestCpu()),
      boot: bootGuest,
      boots: this.#boots,
      onProcess: (record) => onProcess(`guest ${plan.name}`, record),
      onState,
      onHeld,
    });
    this.#kept.set(plan.name, { keeper, plan });
    return keeper;
  }

  #specOf(plan: GuestPlan, parts: GuestParts, cpu: number | undefined): GuestSpec {
    return {
      ...parts,
      name: plan.name,
      memoryBytes: plan.memoryBytes ?? parts.image.defaultMemoryBytes,
      isolation: plan.isolation,
      cpu,
      folder: guestFolder(this.#options.folder, plan.name),
      setup: setupWithOutlet(plan.setup, plan.outlet),
    };
  }

  /** What the guest is at its next boot. */
  async replan(plan: GuestPlan, parts: GuestParts): Promise<void> {
    const kept = this.#kept.get(plan.name) as Kept;
    await kept.keeper.replan(this.#specOf(plan, parts, kept.keeper.spec.cpu));
    kept.plan = plan;
  }

  /** In place; where nothing of it concerns the guest's kernel, the guest is not asked. */
  async change(plan: GuestPlan): Promise<void> {
    const kept = this.#kept.get(plan.name) as Kept;
    const setup = setupWithOutlet(plan.setup, plan.outlet);
    if (!isDeepStrictEqual(kept.keeper.spec.setup, setup)) await kept.keeper.change(setup);
    kept.plan = plan;
  }

  /** Ends it; nothing of it is left but its folder. */
  async remove(name: string): Promise<void> {
    await this.#kept.get(name)?.keeper[Symbol.asyncDispose]();
    this.#kept.delete(name);
  }

  /** In the order of these names. */
  arrange(names: readonly string[]): void {
    const place = new Map(names.map((name, index) => [name, index]));
    const of = ([name]: [string, Kept]) => place.get(name) ?? names.length;
    this.#kept = new Map([...this.#kept].sort((a, b) => of(a) - of(b)));
  }

  /** The first of those that have the fewest guests. */
  #idlestCpu(): number | undefined {
    const counts = new Map(this.#cpus.map((cpu) => [cpu, 0]));
    for (const { spec } of this.keepers) {
      if (spec.cpu !== undefined) counts.set(spec.cpu, (counts.get(spec.cpu) ?? 0) + 1);
    }
    const fewest = Math.min(...counts.values());
    return this.#cpus.find((cpu) => counts.get(cpu) === fewest);
  }

  /** Guests end at the same time. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.keepers.map((keeper) => keeper[Symbol.asyncDispose]()));
  }
}

/** A boot is CPU work with short waits. */
const bootsAtOnce = (cpus: number): number => 2 * cpus;
