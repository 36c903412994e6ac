/** Progress where nobody watches live: one plain line a step, on standard error. */

import { formatBytes, formatDurationNs } from "../../base/units.ts";
import type { LabEvent } from "../../lab/api.ts";
import type { ProgressView } from "../context.ts";
import type { Output } from "../output.ts";
import { timeLeft } from "./frame.ts";

export class PlainProgress implements ProgressView {
  readonly #output: Output;
  readonly #verbose: boolean;
  /** What was announced; its end is told once as well. */
  readonly #begun = new Map<string, "begun" | "done">();
  readonly #tenths = new Map<string, number>();

  constructor(output: Output, verbose: boolean) {
    this.#output = output;
    this.#verbose = verbose;
  }

  readonly onEvent = (event: LabEvent): void => {
    const line = this.#lineOf(event);
    if (line !== undefined) void this.#output.write(`${line}\n`);
  };

  readonly onProgress: ProgressView["onProgress"] = (progress) =>
    this.onEvent({ type: "progress", ...progress });

  [Symbol.dispose](): void {}

  #lineOf(event: LabEvent): string | undefined {
    if (event.type === "step") {
      return event.detail === undefined ? event.step : `${event.step}: ${event.detail}`;
    }
    if (event.type === "notice") return `note: ${event.message}`;
    if (event.type === "guest") {
      // Without --verbose only what a person waits for, or must know of.
      const passing = ["starting", "agent", "setup"].includes(event.state);
      if (passing && !this.#verbose) return undefined;
      const time = event.ms === undefined ? "" : ` (${formatDurationNs(event.ms * 1e6)})`;
      return `${event.guest}: ${event.state}${time}`;
    }
    if (event.type === "reachability") {
      if (!this.#verbose) return undefined;
      return `probed ${event.probed} of ${event.of}, ${event.reached} answered`;
    }
    return event.type === "progress" ? this.#progressLine(event) : undefined;
  }

  #progressLine(event: LabEvent & { type: "progress" }): string | undefined {
    const seen = this.#begun.get(event.what);
    const complete = event.total !== undefined && event.done >= event.total;
    if (complete && seen !== "done") {
      this.#begun.set(event.what, "done");
      return event.unit === "bytes"
        ? `${event.what}: ${formatBytes(event.done)}, done`
        : `${event.what}: done`;
    }
    if (seen !== undefined) return this.#passingLine(event);
    this.#begun.set(event.what, "begun");
    return event.total === undefined || event.unit !== "bytes"
      ? event.what
      : `${event.what}: ${formatBytes(event.total)}`;
  }

  /** Work of minutes, which estimates its end, is told of at every tenth. */
  #passingLine(event: LabEvent & { type: "progress" }): string | undefined {
    if (event.leftMs === undefined || event.total === undefined) return undefined;
    const tenth = Math.floor((10 * event.done) / event.total);
    if (tenth === (this.#tenths.get(event.what) ?? 0)) return undefined;
    this.#tenths.set(event.what, tenth);
    return `${event.what}: ${event.done} of ${event.total}, ${timeLeft(event.leftMs)}`;
  }
}
