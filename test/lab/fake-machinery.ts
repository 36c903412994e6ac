/** A lab without processes: the fabric's core in this process, and guests that only remember. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { LabError } from "../../base/errors.ts";
import { recordProcess } from "../../base/processes.ts";
import type {
  GuestSetup,
  GuestSpec,
  Image,
  Kernel,
  RunningGuest,
} from "../../kernel/guest/spec.ts";
import type { OpenDisks } from "../../lab/disks/open-disks.ts";
import type { Change } from "../../lab/plan/change.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import type { LabPlan } from "../../lab/plan/plan.ts";
import { Lab, type Machinery } from "../../lab/supervisor/lab.ts";
import { parseTopology } from "../../lab/topology/read.ts";
import type { AnswerTo, FabricRequest } from "../../net/control/messages.ts";
import type { RunningFabric } from "../../net/fabric.ts";
import { FabricCore } from "../../net/fabric-core.ts";
import { type AnsweredAtOnce, perform } from "../../net/fabric-requests.ts";
import { FakeTap } from "../net/driver/fake-tap.ts";

const NEVER = new AbortController().signal;
const self = recordProcess(process.pid);
if (self === undefined) throw new Error("this process has no start time");

export const planOf = (text: string): LabPlan =>
  makePlan(parseTopology("/lab/x.yaml", Buffer.from(`name: x\n${text}`), {}));

const KERNEL = { id: "k", release: "7", executable: "/k", features: {} } as unknown as Kernel;
const IMAGE = { id: "i", reference: "base", defaultMemoryBytes: 1 } as unknown as Image;

export class FakeLab implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "lab-"));
  /** Every request to the fabric but looks at counters. */
  readonly requests: FabricRequest[] = [];
  /** What was done to guests: `boot a`, `end a`, `change a`. */
  readonly deeds: string[] = [];
  /** By guest. */
  readonly setups = new Map<string, GuestSetup>();
  readonly specs = new Map<string, GuestSpec>();
  /** Guests that don't boot, or can't be changed. */
  readonly broken = new Set<string>();
  /** A request that the fabric refuses. */
  refuses: (request: FabricRequest) => boolean = () => false;
  disks: OpenDisks | undefined;
  readonly #core = new FabricCore(
    {
      listen() {},
      unlisten() {},
      openTap: () => new FakeTap(),
      watchWorker() {},
      watch() {},
      unwatch() {},
    },
    () => {},
  );
  readonly lab: Lab;

  private constructor(plan: LabPlan) {
    const machinery: Machinery = {
      startFabric: async () => this.#fabric,
      prepare: async () => {},
      bootGuest: async (spec) => this.#boot(spec),
    };
    this.lab = new Lab({
      plan,
      ...this.parts(plan),
      folder: this.folder,
      since: "",
      fabric: machinery.startFabric({} as never),
      machinery,
      disks: () => this.disks,
      onProcess: () => {},
      onCrash: () => {},
      log: () => {},
    });
  }

  static async up(text: string): Promise<FakeLab> {
    const fake = new FakeLab(planOf(text));
    await fake.lab.begin(NEVER, () => {});
    fake.forget();
    return fake;
  }

  /** What was done until now. */
  forget(): void {
    this.requests.length = 0;
    this.deeds.length = 0;
  }

  parts({ guests }: LabPlan) {
    return {
      kernels: Object.fromEntries(guests.map(({ kernel }) => [kernel, KERNEL])),
      images: Object.fromEntries(guests.map(({ image }) => [image, IMAGE])),
    };
  }

  async apply(text: string, signal: AbortSignal = NEVER): Promise<Change[]> {
    const plan = planOf(text);
    const changes = this.lab.differenceTo(plan);
    await this.lab.apply({ plan, ...this.parts(plan) }, changes, signal, () => {});
    return changes;
  }

  get #fabric(): RunningFabric {
    return {
      process: self as NonNullable<typeof self>,
      exited: new Promise(() => {}),
      request: async <R extends FabricRequest>(request: R): Promise<AnswerTo<R>> => {
        if (request.op !== "counters") this.requests.push(request);
        if (this.refuses(request)) throw new LabError("FABRIC_FAILED", `no ${request.op}`);
        const { counters, trace } = perform(this.#core, request as AnsweredAtOnce) ?? {};
        return (trace ?? counters) as AnswerTo<R>;
      },
      [Symbol.asyncDispose]: async () => {},
    };
  }

  #boot(spec: GuestSpec): RunningGuest {
    const { name } = spec;
    this.deeds.push(`boot ${name}`);
    if (this.broken.has(name)) throw new LabError("GUEST_BOOT", `guest ${name} did not boot`);
    this.setups.set(name, spec.setup);
    this.specs.set(name, spec);
    const unused = () => {
      throw new Error(`nobody asks ${name} for this here`);
    };
    return {
      name,
      process: self as NonNullable<typeof self>,
      kernelProcess: self,
      bootMs: 1,
      consolePath: "",
      exited: new Promise(() => {}),
      exec: unused,
      run: unused,
      readFile: unused,
      writeFile: unused,
      change: async (setup) => {
        this.deeds.push(`change ${name}`);
        if (this.broken.has(name)) throw new LabError("GUEST_SETUP", `guest ${name}: no`);
        this.setups.set(name, setup);
      },
      console: { input: new PassThrough(), output: new PassThrough() },
      pause: () => this.deeds.push(`pause ${name}`),
      resume: () => this.deeds.push(`resume ${name}`),
      [Symbol.asyncDispose]: async () => {
        this.deeds.push(`end ${name}`);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
