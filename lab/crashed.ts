/** Labs without a supervisor: what can still be done with them is to remove what they left. */

import { join } from "node:path";
import { LabError } from "../base/errors.ts";
import { cacheFolder } from "../base/folders.ts";
import { isAlive } from "../base/processes.ts";
import { acquireLock } from "../kernel/cache/lock.ts";
import type { GuestProcess } from "../kernel/guest/spec.ts";
import type { LabSummary, OnLabEvent, RunningLab } from "./api.ts";
import { clearAbandonedDisks } from "./disks/kept.ts";
import { endRemains } from "./remains.ts";
import { labFolder, readRecord, recordedProcesses } from "./run-folder.ts";

/**
 * Ends what survived of a crashed lab and removes its folder. One at a time, so that nobody takes
 * away the folder of a lab that was started meanwhile. False: it is not crashed (any more).
 */
export async function mendLab(name: string): Promise<boolean> {
  const lock = join(cacheFolder(), "locks", "crashed-labs");
  using _ = await acquireLock(lock, { purpose: `cleaning up lab ${name}` });
  const folder = labFolder(name);
  const record = readRecord(folder);
  if (record !== undefined && isAlive(record.supervisor)) return false;
  await endRemains({ name, folder, processes: recordedProcesses(folder) });
  clearAbandonedDisks();
  return true;
}

/** A crashed lab as `down` needs it; anything else says what happened. */
export class CrashedLab implements RunningLab {
  readonly name: string;
  readonly #problem: string;

  constructor({ name, problem }: LabSummary) {
    this.name = name;
    this.#problem = problem ?? "its supervisor is gone";
  }

  async down(onEvent: OnLabEvent): Promise<void> {
    onEvent({ type: "notice", message: `lab ${this.name} had crashed: ${this.#problem}` });
    await mendLab(this.name);
  }

  status = () => this.#refuse();
  plan = () => this.#refuse();
  apply = () => this.#refuse();
  verify = () => this.#refuse();
  assess = () => this.#refuse();
  restart = () => this.#refuse();
  stop = () => this.#refuse();
  start = () => this.#refuse();
  pause = () => this.#refuse();
  resume = () => this.#refuse();
  setLink = () => this.#refuse();
  addLink = () => this.#refuse();
  removeLink = () => this.#refuse();
  startCapture = () => this.#refuse();
  stopCapture = () => this.#refuse();
  inspect = () => this.#refuse();
  debug = () => this.#refuse();
  save = () => this.#refuse();
  explain = () => this.#refuse();
  explainFailures = () => this.#refuse();

  exec(): GuestProcess {
    throw this.#error();
  }

  console(): GuestProcess {
    throw this.#error();
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #refuse(): Promise<never> {
    throw this.#error();
  }

  #error(): LabError {
    return new LabError("SUPERVISOR_FAILED", `lab ${this.name} crashed: ${this.#problem}`, {
      hint: `uml-lab down ${this.name} removes what is left of it`,
    });
  }
}
