/**
 * Everything the commands ask of the rest of the house, behind one interface: tests put fakes in
 * its place, and each part is loaded when it is first called, so that `uml-lab --version` loads
 * none of it.
 */

import type { BuildKernelOptions } from "../kernel/build/build-kernel.ts";
import type { Debugger } from "../kernel/debug/gdb.ts";
import type { Finding } from "../kernel/doctor.ts";
import type { Image, Kernel } from "../kernel/guest/spec.ts";
import type { ImageDetails } from "../kernel/images.ts";
import type { OnProgress } from "../kernel/progress.ts";
import type {
  AppliedPlan,
  ApplyOptions,
  KeptDisks,
  LabStatus,
  LabSummary,
  OnLabEvent,
  Report,
  RunningLab,
  SavedDisks,
  UpOptions,
} from "../lab/api.ts";
import type { GradeOptions } from "../lab/grading/grade.ts";
import type { Grades } from "../lab/grading/grades.ts";
import type { GraphFormat } from "../lab/graph/graph.ts";
import type { LabPlan } from "../lab/plan/plan.ts";
import type { Starter, Starters } from "../lab/starters/starters.ts";

export interface FetchOptions {
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

export interface Engine {
  /**
   * Reads, checks and plans. Throws LabErrors; for what this version cannot run (NOT_YET) too,
   * unless the plan is only looked at.
   */
  planFile(
    file: string,
    env: NodeJS.ProcessEnv,
    options?: { readonly toRun: boolean },
  ): Promise<LabPlan>;
  drawGraph(plan: LabPlan, format: GraphFormat, live?: LabStatus): Promise<string>;
  listStarters(): Promise<Starters>;
  /** The text of a new topology file that is to stand in `folder`. */
  writeStarter(starter: Starter, name: string, folder: string): Promise<string>;
  upLab(options: UpOptions): Promise<{ readonly lab: RunningLab; readonly report: Report }>;
  testLab(options: UpOptions): Promise<Report>;
  applyLab(options: ApplyOptions): Promise<AppliedPlan>;
  gradeAll(options: GradeOptions): Promise<Grades>;
  listLabs(): Promise<readonly LabSummary[]>;
  findLab(nameOrFile?: string): Promise<RunningLab>;
  listDisks(): Promise<readonly KeptDisks[]>;
  removeDisks(lab: string, guests: readonly string[]): Promise<readonly string[]>;
  /** Of a lab that is down. */
  saveKept(lab: string, file: string, signal: AbortSignal): Promise<SavedDisks>;
  cleanUp(options: { readonly cache: boolean }, onEvent: OnLabEvent): Promise<void>;
  ensureKernel(choice: string, options: FetchOptions): Promise<Kernel>;
  buildKernel(options: BuildKernelOptions): Promise<Kernel>;
  listKernels(): Promise<readonly Kernel[]>;
  listImages(): Promise<readonly ImageDetails[]>;
  ensureImage(reference: string, options: FetchOptions): Promise<Image>;
  importImage(archive: string, name: string | undefined, options: FetchOptions): Promise<Image>;
  removeImage(idOrReference: string): Promise<number>;
  /** gdb and the kernel's symbols, fetched or made where they are missing. */
  ensureDebugger(kernel: Kernel, options: FetchOptions): Promise<Debugger>;
  examineMachine(): Promise<readonly Finding[]>;
}

export type { Finding, GraphFormat, Starter };
