/**
 * The disks of a lab that begins: those it kept, those of a save, or new ones; and what becomes of
 * them at its end.
 *
 *     kept before            -> taken again, and kept again, whatever is asked now
 *     --keep                 -> new (or from a save), kept
 *     nothing                -> new, gone with the lab
 *     --fresh, --resume FILE -> new or from a save, gone with the lab; kept ones are left alone
 */

import { renameSync, rmSync, statSync, truncateSync } from "node:fs";
import { Cleanups } from "../../base/cleanups.ts";
import { LabError } from "../../base/errors.ts";
import { recordProcess } from "../../base/processes.ts";
import { count, formatMemory } from "../../base/units.ts";
import { makeDisk } from "../../kernel/disks/make-disk.ts";
import {
  type DiskRecord,
  type DisksRecord,
  diskPath,
  keptFolder,
  lockDisks,
  makeOwnFolder,
  readDisksRecord,
  removeDisks,
  writeDisksRecord,
} from "./places.ts";
import { unpackSave } from "./save.ts";

/** What it takes to make disks while somebody waits. */
export interface DiskTools {
  readonly mke2fs: string;
  readonly signal: AbortSignal;
  readonly onNotice: (message: string) => void;
}

export interface DisksRequest extends DiskTools {
  readonly lab: string;
  readonly file: string;
  /** By guest. */
  readonly wanted: Readonly<Record<string, DiskRecord>>;
  readonly keep: boolean;
  readonly fresh: boolean;
  /** A save to begin from; absolute. */
  readonly resume: string | undefined;
}

/** A running lab's disks. Disposing it removes those that are not kept. */
export interface OpenDisks extends AsyncDisposable {
  readonly folder: string;
  readonly kept: boolean;
  /** Undefined for a guest without a disk. */
  fileOf(guest: string): string | undefined;
  record(): DisksRecord;
  /** Makes what is missing of these, and grows what is to be larger. */
  fit(wanted: DisksRequest["wanted"], tools: DiskTools): Promise<void>;
  /** Guests that have none any more: their disks go, unless they are kept. */
  leave(guests: readonly string[]): void;
  /** The lab never came to be: what was made for it goes, even if it was to be kept. */
  abandon(): Promise<void>;
}

/** Throws USAGE, LAB_EXISTS, FILE_UNREADABLE, NO_SPACE, BUILD_FAILED. */
export async function openDisks(request: DisksRequest): Promise<OpenDisks> {
  const { lab, keep, fresh, resume, onNotice } = request;
  const kept = keptFolder(lab);
  const record = readDisksRecord(kept);
  if (record === undefined && statSync(kept, { throwIfNoEntry: false }) !== undefined) {
    throw new LabError("FILE_UNREADABLE", `${kept} is there, and is no lab's disks`, {
      hint: "look what it is, and move it away",
    });
  }
  if (record === undefined || ((fresh || resume !== undefined) && !keep)) return makeNew(request);
  if (fresh || resume !== undefined) {
    throw new LabError("USAGE", `lab ${lab} has kept disks, of ${record.usedAt}`, {
      hint: `uml-lab disk remove ${lab}, or leave --keep away: the new disks go with the lab then`,
    });
  }
  const moved = statSync(record.file, { throwIfNoEntry: false }) === undefined;
  if (record.file !== request.file && !moved) {
    throw new LabError("USAGE", `the disks kept for a lab ${lab} belong to ${record.file}`, {
      hint: `give this lab another name, boot it with --fresh, or uml-lab disk remove ${lab}`,
    });
  }
  const lock = await lockDisks(kept);
  try {
    onNotice(
      `taking the disks kept on ${record.usedAt.slice(0, 10)}: ${Object.keys(record.disks).join(", ")}`,
    );
    return await fill(kept, record.disks, { ...request, keep: true }, lock);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

async function makeNew(request: DisksRequest): Promise<OpenDisks> {
  const { lab, keep, resume, signal, onNotice } = request;
  const self = recordProcess(process.pid);
  if (self === undefined) throw new Error("this process has no start time");
  await using cleanups = new Cleanups();
  const own = makeOwnFolder(self);
  cleanups.defer("remove the new disks", () => removeDisks(own, self));
  const before = resume === undefined ? {} : (await unpackSave(resume, own, signal)).disks;
  if (resume !== undefined) {
    onNotice(`from ${resume}: ${count(Object.keys(before).length, "disk")}`);
  }
  const lock = await lockDisks(own);
  cleanups.defer("unlock the disks", async () => lock[Symbol.dispose]());
  const disks = await fill(own, before, request, lock);
  if (!keep) {
    cleanups.move();
    return disks;
  }
  // The lock is on the file, which moves along.
  renameSync(own, keptFolder(lab));
  cleanups.move();
  return open(keptFolder(lab), disks.record(), { kept: true, made: true }, lock);
}

async function fill(
  folder: string,
  before: Readonly<Record<string, DiskRecord>>,
  request: DisksRequest,
  lock: Disposable,
): Promise<OpenDisks> {
  const { lab, file, wanted, keep } = request;
  const disks = await fitDisks(folder, before, wanted, request);
  const record: DisksRecord = { lab, file, usedAt: new Date().toISOString(), disks };
  writeDisksRecord(folder, record);
  return open(folder, record, { kept: keep, made: Object.keys(before).length === 0 }, lock);
}

/** Makes what is missing, grows what is to be larger; answers all that there are then. */
async function fitDisks(
  folder: string,
  before: Readonly<Record<string, DiskRecord>>,
  wanted: DisksRequest["wanted"],
  { mke2fs, signal, onNotice }: DiskTools,
): Promise<Record<string, DiskRecord>> {
  const disks: Record<string, DiskRecord> = { ...before };
  await Promise.all(
    Object.entries(wanted).map(async ([guest, { bytes, image }]) => {
      const path = diskPath(folder, guest);
      const there = before[guest];
      if (there === undefined) {
        await makeDisk(path, { bytes, mke2fs, signal });
        disks[guest] = { bytes, image };
        return;
      }
      if (there.image !== image) {
        onNotice(
          `the disk of ${guest} was made on the image ${there.image}; now it lies on ${image}`,
        );
      }
      if (bytes < there.bytes) {
        onNotice(`the disk of ${guest} stays at ${formatMemory(there.bytes)}: disks don't shrink`);
      }
      const most = Math.max(bytes, there.bytes);
      // The guest's agent lets the file system follow.
      if (statSync(path).size < most) truncateSync(path, most);
      disks[guest] = { bytes: most, image };
    }),
  );
  return disks;
}

function open(
  folder: string,
  first: DisksRecord,
  { kept, made }: { readonly kept: boolean; readonly made: boolean },
  lock: Disposable,
): OpenDisks {
  const close = async (remove: boolean) => {
    const self = recordProcess(process.pid);
    if (remove && self !== undefined) removeDisks(folder, self);
    lock[Symbol.dispose]();
  };
  let closing: Promise<void> | undefined;
  let record = first;
  const write = (disks: DisksRecord["disks"]) => {
    record = { ...record, disks };
    writeDisksRecord(folder, record);
  };
  return {
    folder,
    kept,
    fileOf: (guest) => (guest in record.disks ? diskPath(folder, guest) : undefined),
    record: () => record,
    fit: async (wanted, tools) => write(await fitDisks(folder, record.disks, wanted, tools)),
    leave: (guests) => {
      const gone = guests.filter((guest) => guest in record.disks);
      if (kept || gone.length === 0) return;
      for (const guest of gone) rmSync(diskPath(folder, guest), { force: true });
      write(
        Object.fromEntries(Object.entries(record.disks).filter(([guest]) => !gone.includes(guest))),
      );
    },
    abandon: () => {
      closing ??= close(!kept || made);
      return closing;
    },
    [Symbol.asyncDispose]: () => {
      closing ??= close(!kept);
      return closing;
    },
  };
}
