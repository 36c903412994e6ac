/** Kept disks while their lab is down: listed, saved, removed; and those that a crash left. */

import { rmSync, statSync } from "node:fs";
import { LabError } from "../../base/errors.ts";
import { recordProcess } from "../../base/processes.ts";
import { closest } from "../../base/similar.ts";
import type { KeptDisks, SavedDisks } from "../api.ts";
import {
  abandonedDisks,
  type DisksRecord,
  diskPath,
  keptFolder,
  keptLabs,
  lockDisks,
  readDisksRecord,
  removeDisks,
  writeDisksRecord,
} from "./places.ts";
import { writeSave } from "./save.ts";

export async function listDisks(): Promise<KeptDisks[]> {
  const all = await Promise.all(
    keptLabs().map(async (lab): Promise<KeptDisks | undefined> => {
      const folder = keptFolder(lab);
      const record = readDisksRecord(folder);
      if (record === undefined) return undefined;
      return {
        lab,
        file: record.file,
        usedAt: record.usedAt,
        inUse: await inUse(folder),
        disks: Object.entries(record.disks).map(([guest, { image }]) => {
          const path = diskPath(folder, guest);
          const stat = statSync(path, { throwIfNoEntry: false });
          const { size = 0, blocks = 0 } = stat ?? {};
          return { guest, path, bytes: size, usedBytes: blocks * 512, image };
        }),
      };
    }),
  );
  return all.filter((one) => one !== undefined);
}

/** Without guests, all of the lab's; answers whose are gone. Throws NO_SUCH_LAB, LAB_EXISTS … */
export async function removeKept(lab: string, guests: readonly string[]): Promise<string[]> {
  const { folder, record } = find(lab);
  using _ = await lockDisks(folder);
  const unknown = guests.find((guest) => !(guest in record.disks));
  if (unknown !== undefined) {
    throw new LabError("NO_SUCH_GUEST", `no disk of a guest ${unknown} is kept for lab ${lab}`, {
      hint: `there are those of ${Object.keys(record.disks).join(", ")}`,
    });
  }
  const gone = guests.length === 0 ? Object.keys(record.disks) : [...guests];
  const left = Object.entries(record.disks).filter(([guest]) => !gone.includes(guest));
  const self = recordProcess(process.pid);
  if (left.length === 0 && self !== undefined) {
    removeDisks(folder, self);
    return gone;
  }
  writeDisksRecord(folder, { ...record, disks: Object.fromEntries(left) });
  for (const guest of gone) rmSync(diskPath(folder, guest), { force: true });
  return gone;
}

export async function saveKept(
  lab: string,
  file: string,
  signal: AbortSignal,
): Promise<SavedDisks> {
  const { folder, record } = find(lab);
  using _ = await lockDisks(folder);
  await writeSave(folder, record, file, signal);
  return { lab, file, bytes: statSync(file).size, disks: Object.keys(record.disks) };
}

/** Removes disks of supervisors that are gone, but for kept ones; answers what went. */
export function clearAbandonedDisks(): string[] {
  const self = recordProcess(process.pid);
  const folders = self === undefined ? [] : abandonedDisks();
  for (const folder of folders) removeDisks(folder, self as NonNullable<typeof self>);
  return folders;
}

function find(lab: string): { readonly folder: string; readonly record: DisksRecord } {
  const folder = keptFolder(lab);
  const record = /^[\w-]+$/.test(lab) ? readDisksRecord(folder) : undefined;
  if (record !== undefined) return { folder, record };
  const kept = keptLabs();
  const guess = closest(lab, kept);
  throw new LabError("NO_SUCH_LAB", `no disks are kept for a lab ${lab}`, {
    hint:
      guess !== undefined
        ? `did you mean ${guess}?`
        : kept.length > 0
          ? `there are those of ${kept.join(", ")}`
          : "`uml-lab up FILE --keep` keeps them",
  });
}

async function inUse(folder: string): Promise<boolean> {
  try {
    (await lockDisks(folder))[Symbol.dispose]();
    return false;
  } catch {
    return true;
  }
}
