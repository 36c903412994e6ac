/** What there is in the run folder: labs that run, and what is left of those that crashed. */

import { LabError } from "../base/errors.ts";
import { isAlive } from "../base/processes.ts";
import type { LabSummary } from "./api.ts";
import {
  type LabRecord,
  labFolder,
  placedLabs,
  readRecord,
  recordedProcesses,
} from "./run-folder.ts";

export function summaries(): LabSummary[] {
  return placedLabs().map((name) => summarize(name, readRecord(labFolder(name))));
}

function summarize(name: string, record: LabRecord | undefined): LabSummary {
  if (record === undefined) {
    return {
      name,
      file: "",
      state: "crashed",
      pid: null,
      guests: 0,
      since: new Date(0).toISOString(),
      problem: "its folder tells nothing of it",
    };
  }
  const alive = isAlive(record.supervisor);
  const { file, guests, since } = record;
  return {
    name,
    file,
    guests,
    since,
    pid: alive ? record.supervisor.pid : null,
    state: alive ? record.state : "crashed",
    problem: alive ? record.problem : problemOf(name, record),
  };
}

function problemOf(name: string, { supervisor, problem }: LabRecord): string {
  const left = recordedProcesses(labFolder(name)).filter(isAlive);
  const survivors =
    left.length === 0
      ? "nothing of it is running"
      : `still running: ${left.map(({ what, pid }) => `${what} (${pid})`).join(", ")}`;
  return `${problem ?? `its supervisor (process ${supervisor.pid}) was killed`}; ${survivors}`;
}

export function labExists(name: string, record: LabRecord | undefined): LabError {
  const who =
    record === undefined
      ? ""
      : `: process ${record.supervisor.pid}, from ${record.file}, since ${record.since}`;
  return new LabError("LAB_EXISTS", `a lab named ${name} is running already${who}`, {
    hint: `uml-lab down ${name}, or give the new one another name`,
  });
}
