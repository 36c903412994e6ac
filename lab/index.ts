/** `import { Lab } from "uml-lab"`: what programs use, and what the command line is made of. */

export { LabError, LabErrors, type SourcePosition } from "../base/errors.ts";
export type { ExecRequest, GuestProcess } from "../kernel/guest/spec.ts";
export type { Impairment } from "../net/control/messages.ts";
export type {
  AppliedPlan,
  Assessment,
  CaptureRequest,
  Change,
  CheckResult,
  ExpectationResult,
  FlowResult,
  GuestState,
  GuestStatus,
  LabEvent,
  LabStatus,
  LabSummary,
  OnLabEvent,
  ReachabilityResult,
  Report,
  RunningLab,
  StartedCapture,
  Timeline,
  TimelineEvent,
} from "./api.ts";
export {
  type CommandOptions,
  type CommandResult,
  Guest,
  Lab,
  type LabOptions,
  Link,
  type LinkChange,
} from "./programs.ts";
