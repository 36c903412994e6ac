/** The disks of a running lab as they are at one moment. */

import { statSync } from "node:fs";
import { LabError } from "../../base/errors.ts";
import type { SavedDisks } from "../api.ts";
import type { OpenDisks } from "../disks/open-disks.ts";
import { writeSave } from "../disks/save.ts";
import type { GuestKeeper } from "./guest-keeper.ts";
import { within } from "./within.ts";

/** How long a guest may take to write out what it has. */
const SYNC_MS = 30_000;

/** Every guest has written out, then all stand still. Throws USAGE where no guest has a disk. */
export async function saveDisks(
  lab: string,
  disks: OpenDisks | undefined,
  keepers: readonly GuestKeeper[],
  file: string,
  signal: AbortSignal,
): Promise<SavedDisks> {
  if (disks === undefined) {
    throw new LabError("USAGE", `no guest of lab ${lab} has a disk`, {
      hint: "what a guest writes without one is RAM; write `disk: 1G`",
    });
  }
  const debugged = keepers.find(({ state }) => state === "debugged");
  if (debugged !== undefined) {
    throw new LabError("GUEST_FAILED", `${debugged.name} is being debugged`, {
      hint: "a disk is saved while its guest is paused: detach the debugger first",
    });
  }
  const running = keepers.filter(({ state }) => state === "ready");
  const flush = ({ guest }: GuestKeeper) =>
    within(guest.run({ command: ["sync"] }), SYNC_MS, signal).catch(() => {
      signal.throwIfAborted(); // one that hangs is saved as it is
    });
  await Promise.all(running.map(flush));
  await Promise.all(running.map((keeper) => keeper.pause()));
  try {
    await writeSave(disks.folder, disks.record(), file, signal);
  } finally {
    await Promise.all(running.map((keeper) => keeper.resume()));
  }
  return {
    lab,
    file,
    bytes: statSync(file).size,
    disks: Object.keys(disks.record().disks),
  };
}
