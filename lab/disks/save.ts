/**
 * Disks in one file, to take along or to hand in: a gzipped tar that knows of holes, with the record
 * first. A save may come from anybody: only the files that its record names are taken out of it, and
 * only a guest ever mounts them.
 */

import { lstatSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LabError, messageOf } from "../../base/errors.ts";
import { run } from "../../kernel/packages/child.ts";
import {
  type DisksRecord,
  diskPath,
  parseDisksRecord,
  RECORD,
  writeDisksRecord,
} from "./places.ts";

/** Writes the disks of a folder, whole or not at all. Nobody may write to them meanwhile. */
export async function writeSave(
  folder: string,
  record: DisksRecord,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const part = `${file}.${process.pid}.part`;
  writeDisksRecord(folder, { ...record, usedAt: new Date().toISOString() });
  const disks = Object.keys(record.disks).map((guest) => `${guest}.ext4`);
  try {
    const command = [
      "tar",
      "--create",
      "--gzip",
      "--sparse",
      "--file",
      part,
      "--directory",
      folder,
    ];
    const { code, stderr } = await run([...command, "--", RECORD, ...disks], { signal });
    if (code !== 0) {
      throw new LabError(
        /No space left/.test(stderr) ? "NO_SPACE" : "FILE_UNREADABLE",
        `can't write ${file}: ${stderr.trim() || `tar ended with status ${code}`}`,
      );
    }
    renameSync(part, file);
  } finally {
    rmSync(part, { force: true });
  }
}

/** Takes the disks of a save into a folder that is empty. Throws FILE_UNREADABLE, NO_SPACE. */
export async function unpackSave(
  file: string,
  folder: string,
  signal: AbortSignal,
): Promise<DisksRecord> {
  await extract(file, folder, [RECORD], signal);
  let record: DisksRecord;
  try {
    record = parseDisksRecord(readFileSync(regular(join(folder, RECORD)), "utf8"));
  } catch (cause) {
    throw new LabError("FILE_UNREADABLE", `${file} is not a save of uml-lab: ${messageOf(cause)}`, {
      cause,
    });
  }
  const guests = Object.keys(record.disks);
  await extract(
    file,
    folder,
    guests.map((guest) => `${guest}.ext4`),
    signal,
  );
  for (const guest of guests) regular(diskPath(folder, guest));
  return record;
}

async function extract(
  file: string,
  folder: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (names.length === 0) return;
  const command = ["tar", "--extract", "--gzip", "--sparse", "--file", file, "--directory", folder];
  command.push("--no-same-owner", "--no-same-permissions", "--keep-old-files", "--", ...names);
  const { code, stderr } = await run(command, { signal });
  if (code === 0) return;
  throw new LabError(
    /No space left/.test(stderr) ? "NO_SPACE" : "FILE_UNREADABLE",
    `can't read ${names.join(", ")} from ${file}: ${stderr.trim() || `tar ended with status ${code}`}`,
    { hint: "a save is a file that `uml-lab save` wrote" },
  );
}

/** Its path, if it is a file itself and no link to one. Throws. */
function regular(path: string): string {
  const stat = lstatSync(path);
  if (stat.isFile() && stat.nlink === 1) return path;
  throw new LabError("FILE_UNREADABLE", `${path} is not a file`);
}
