/** What the supervisor needs of the fabric. */

import type { ProcessRecord } from "../../base/processes.ts";
import type { FabricCounters, FabricEvent, FabricRequest } from "../../net/control/messages.ts";

export interface RunningFabric extends AsyncDisposable {
  readonly process: ProcessRecord;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** Throws FABRIC_FAILED. */
  request(request: FabricRequest): Promise<FabricCounters | undefined>;
}

export interface FabricOptions {
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: FabricEvent) => void;
  readonly onProcess: (record: ProcessRecord) => void;
}

export type StartFabric = (options: FabricOptions) => Promise<RunningFabric>;
