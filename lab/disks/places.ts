/**
 * Where guests' disks are (docs/decisions/0410-disks.md):
 *
 *     DATA/disks/LAB/            kept: they stay when the lab goes down
 *         disks.json             what they are and whose
 *         GUEST.ext4
 *         lock                   held by whoever uses them
 *     DATA/disks/.new-PID-START-…/   of a supervisor whose lab keeps none, or that is making them
 *
 * A folder that is named like a lab is whole. All of it goes when the last disk does.
 */

import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { LabError } from "../../base/errors.ts";
import { dataFolder } from "../../base/folders.ts";
import { isAlive, type ProcessRecord } from "../../base/processes.ts";
import { tryLock } from "../../kernel/cache/flock.ts";

export interface DiskRecord {
  readonly bytes: number;
  /** The image it is a layer on. */
  readonly image: string;
}

/** `disks.json`; also the first file of a save. */
export interface DisksRecord {
  readonly lab: string;
  /** The topology file it was made for. */
  readonly file: string;
  /** ISO 8601: when they were last taken or saved. */
  readonly usedAt: string;
  readonly disks: Readonly<Record<string, DiskRecord>>;
}

export const disksFolder = (): string => join(dataFolder(), "disks");
export const keptFolder = (lab: string): string => join(disksFolder(), lab);
export const diskPath = (folder: string, guest: string): string => join(folder, `${guest}.ext4`);
export const RECORD = "disks.json";

/** For a supervisor's own, under a name that tells whose it is. */
export function makeOwnFolder({ pid, startTime }: ProcessRecord): string {
  const name = `.new-${pid}-${startTime}-${process.hrtime.bigint().toString(36)}`;
  const folder = join(disksFolder(), name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Names of the labs with kept disks. */
export function keptLabs(): string[] {
  return names()
    .filter((name) => !name.startsWith("."))
    .sort();
}

/** Folders whose supervisor is gone. */
export function abandonedDisks(): string[] {
  return names().flatMap((name) => {
    const made = /^\.new-(\d+)-(\d+)-/.exec(name);
    const alive = made && isAlive({ pid: Number(made[1]), startTime: made[2] as string });
    return made === null || alive ? [] : [join(disksFolder(), name)];
  });
}

/** Removes a folder of disks, and the folders above it where they are empty then. */
export function removeDisks(folder: string, { pid, startTime }: ProcessRecord): void {
  const gone = join(disksFolder(), `.new-${pid}-${startTime}-gone`);
  try {
    renameSync(folder, gone);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  rmSync(gone, { recursive: true, force: true });
  for (const parent of [disksFolder(), dataFolder()]) {
    try {
      rmdirSync(parent);
    } catch {
      return; // something else is in it, or it is not there
    }
  }
}

export function writeDisksRecord(folder: string, record: DisksRecord): void {
  const path = join(folder, RECORD);
  writeFileSync(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Undefined where there is none, or it can't be read as one. */
export function readDisksRecord(folder: string): DisksRecord | undefined {
  try {
    return parseDisksRecord(readFileSync(join(folder, RECORD), "utf8"));
  } catch {
    return undefined;
  }
}

/** Guests' names as the topology language has them: they become names of files. */
const NAME = /^[a-z][a-z0-9-]{0,39}$/;

/** Checked, because a save may come from anybody. Throws where it is none. */
export function parseDisksRecord(text: string): DisksRecord {
  const { lab, file, usedAt, disks } = JSON.parse(text) as DisksRecord;
  const guests = Object.entries(disks);
  const whole =
    NAME.test(lab) &&
    typeof file === "string" &&
    Number.isFinite(Date.parse(usedAt)) &&
    guests.every(([guest, { bytes, image }]) => {
      return (
        NAME.test(guest) && Number.isSafeInteger(bytes) && bytes > 0 && typeof image === "string"
      );
    });
  if (!whole) throw new Error("not a record of disks");
  return {
    lab,
    file,
    usedAt,
    disks: Object.fromEntries(guests.map(([guest, { bytes, image }]) => [guest, { bytes, image }])),
  };
}

/** Takes the disks of a folder, until it is disposed. Throws LAB_EXISTS where somebody has them. */
export async function lockDisks(folder: string): Promise<Disposable> {
  for (;;) {
    const path = join(folder, "lock");
    const fd = openSync(path, "a+", 0o600);
    try {
      if (!(await tryLock(fd))) {
        throw new LabError("LAB_EXISTS", `the disks in ${folder} are in use by a running lab`, {
          hint: "uml-lab ps shows which; a lab started with another run folder has them otherwise",
        });
      }
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    // Somebody removed them between our opening and our locking: then this is no longer theirs.
    if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) {
      return { [Symbol.dispose]: () => closeSync(fd) };
    }
    closeSync(fd);
  }
}

function names(): string[] {
  try {
    return readdirSync(disksFolder());
  } catch {
    return [];
  }
}
