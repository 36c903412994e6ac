/**
 * Debian's signing keys, for reading its suites on a machine that isn't Debian. Ubuntu and others
 * package them: the keys come through the machine's own archive, under its own signatures.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "../../base/errors.ts";
import { ensurePublished } from "../cache/cache.ts";
import type { EnsureOptions } from "../progress.ts";
import { downloadPackages } from "./apt.ts";
import { DEBIAN_KEYRING, hostArchive } from "./archives.ts";
import type { Place } from "./place.ts";
import { unpackPackage } from "./unpack.ts";

const PACKAGE = "debian-archive-keyring";

/** Path of the keyring: the place's own, else from its package, kept in the cache. */
export async function ensureDebianKeyring(place: Place, options: EnsureOptions): Promise<string> {
  if (existsSync(join(place.root, DEBIAN_KEYRING))) return DEBIAN_KEYRING;
  const purpose = "fetching Debian's signing keys";
  const { folder } = await ensurePublished(
    "tools",
    PACKAGE,
    { ...options, purpose },
    async (builder) => {
      const request = { packages: [PACKAGE], into: builder.scratch, closure: undefined };
      const debs = await downloadPackages(hostArchive(place), request, options, place);
      for (const deb of debs) {
        await unpackPackage(deb, builder.folder, {
          place,
          signal: options.signal,
          lockFd: builder.lock.fd,
        });
      }
      if (!existsSync(join(builder.folder, DEBIAN_KEYRING))) {
        throw new LabError("FETCH_FAILED", `${PACKAGE} has no ${DEBIAN_KEYRING}`);
      }
      return { packages: [PACKAGE] };
    },
  );
  return join(folder, DEBIAN_KEYRING);
}
