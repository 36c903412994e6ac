/**
 * Unpacks Debian packages without root: `dpkg-deb --fsys-tarfile | tar`. Owners become ours, modes
 * stay, and maintainer scripts don't run.
 */

import { basename } from "node:path";
import { type Place, thisMachine } from "./place.ts";

export interface PackageInfo {
  readonly name: string;
  readonly version: string;
}

/** `busybox-static_1%3a1.35.0-4_amd64.deb`: apt names the files it downloads so. */
export function packageInfoOf(path: string): PackageInfo {
  const [name, version] = basename(path).split("_");
  return { name: name as string, version: decodeURIComponent(version ?? "") };
}

export interface UnpackOptions {
  readonly place?: Place;
  readonly signal?: AbortSignal | undefined;
  /** A lock that the children inherit. */
  readonly lockFd?: number | undefined;
  /** Shell patterns of members (`./usr/share/man/*`) that stay packed. */
  readonly except?: readonly string[];
}

/** Unpacks one package into an existing folder. A link to a folder that is there stays a link. */
export async function unpackPackage(
  deb: string,
  folder: string,
  { place = thisMachine, signal, lockFd, except = [] }: UnpackOptions = {},
): Promise<void> {
  const what = `unpacking ${basename(deb)}`;
  await place.pipe(
    ["dpkg-deb", "--fsys-tarfile", deb],
    [
      "tar",
      ...["-x", "-C", folder, "--no-same-owner", "--same-permissions", "--keep-directory-symlink"],
      ...["--wildcards", "--wildcards-match-slash"],
      ...except.map((pattern) => `--exclude=${pattern}`),
    ],
    { signal, lockFd, what },
  );
}
