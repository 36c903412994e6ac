/**
 * What a guest is made of, from both sides: the host's processes, memory and files, and the guest's
 * own process table beside them. docs/how-uml-works.md explains what there is to see.
 */

import { LabError, messageOf } from "../../../base/errors.ts";
import type { ProcessRecord } from "../../../base/processes.ts";
import type { ExecRequest, ExecResult, GuestSpec } from "../spec.ts";
import { type Devices, devicesOf } from "./devices.ts";
import { GUEST_VIEW_SCRIPT, type GuestProcess, parseGuestView } from "./guest-view.ts";
import { type HostProcess, type HostView, viewFromHost } from "./host-view.ts";
import { matchProcesses } from "./match.ts";

export interface InspectedHostProcess extends HostProcess {
  /** Guest pids that live in it; empty for all but user spaces. */
  readonly runs: readonly number[];
}

export interface InspectedGuestProcess extends Omit<GuestProcess, "pages"> {
  /** The host process whose pages are its pages; null for a kernel thread, and where none agrees. */
  readonly hostPid: number | null;
}

export interface GuestInspection extends Devices {
  readonly guest: string;
  readonly kernel: { readonly id: string; readonly release: string; readonly executable: string };
  readonly interception: HostView["interception"];
  readonly memory: {
    /** The RAM file, and what of it the host has memory for. */
    readonly ramBytes: number | null;
    readonly ramResidentBytes: number | null;
    /** As the guest's kernel counts them. */
    readonly guestTotalBytes: number | null;
    readonly guestFreeBytes: number | null;
  };
  readonly hostProcesses: readonly InspectedHostProcess[];
  /** Null where the guest can't be asked; then `notAsked` says why. */
  readonly guestProcesses: readonly InspectedGuestProcess[] | null;
  readonly notAsked: string | null;
}

export interface InspectInput {
  readonly spec: GuestSpec;
  readonly process: ProcessRecord;
  /** Runs a command in the guest; throws where that is not possible now. */
  readonly run: (request: ExecRequest) => Promise<ExecResult>;
}

/** Throws GUEST_FAILED where no kernel runs. */
export async function inspectGuest({ spec, process, run }: InspectInput): Promise<GuestInspection> {
  let asked: ReturnType<typeof parseGuestView> | undefined;
  let notAsked: string | null = null;
  try {
    const { stdout, stderr } = await run({ command: ["sh", "-c", GUEST_VIEW_SCRIPT] });
    asked = parseGuestView(stdout);
    if (asked.processes.length === 0) notAsked = stderr.trim() || "its shell told nothing";
  } catch (error) {
    notAsked = messageOf(error);
  }
  const view = viewFromHost(process);
  if (view === undefined) throw new LabError("GUEST_FAILED", `guest ${spec.name} has no kernel`);
  const found = matchProcesses(asked?.processes ?? [], view.addressSpaces);
  const { id, release, executable } = spec.kernel;
  return {
    guest: spec.name,
    kernel: { id, release, executable },
    interception: view.interception,
    memory: {
      ramBytes: view.ram?.bytes ?? null,
      ramResidentBytes: view.ram?.residentBytes ?? null,
      guestTotalBytes: asked?.memory.get("MemTotal") ?? null,
      guestFreeBytes: asked?.memory.get("MemFree") ?? null,
    },
    hostProcesses: view.processes.map((host) => ({
      ...host,
      runs: [...found].flatMap(([guest, pid]) => (pid === host.pid ? [guest] : [])),
    })),
    guestProcesses:
      notAsked === null && asked !== undefined
        ? asked.processes.map(({ pages: _, ...guest }) => ({
            ...guest,
            hostPid: found.get(guest.pid) ?? null,
          }))
        : null,
    notAsked,
    ...devicesOf(view.arguments, view.descriptors, spec),
  };
}
