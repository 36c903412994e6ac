/**
 * The archives a fetch can turn to: the machine's own distribution, and other suites of Debian,
 * from the same mirror and under Debian's own keys.
 */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "../../base/errors.ts";
import type { Archive } from "./apt.ts";
import { type Place, thisMachine } from "./place.ts";
import {
  type Distribution,
  debianMirror,
  distributionSources,
  parseOsRelease,
  readSources,
} from "./sources.ts";

/** From the package debian-archive-keyring, which every Debian has (and Ubuntu packages). */
export const DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

function distributionOf({ root }: Place): Distribution {
  for (const path of ["etc/os-release", "usr/lib/os-release"]) {
    try {
      return parseOsRelease(readFileSync(join(root, path), "utf8"));
    } catch {
      // the next one
    }
  }
  return { id: "unknown", family: [], codename: "" };
}

/** What the place itself installs from. */
export function hostArchive(place: Place = thisMachine): Archive {
  const distribution = distributionOf(place);
  const sources = distributionSources(readSources(join(place.root, "etc/apt")), distribution);
  if (sources.length === 0) {
    throw new LabError("NO_APT", `apt on ${place.name} has no package sources`, {
      hint: "see sources.list(5)",
    });
  }
  return { name: distribution.codename || distribution.id, sources };
}

/**
 * A suite of Debian (`testing`), or undefined where no mirror of Debian is known: on Debian the
 * machine's own; elsewhere the one that UML_LAB_DEBIAN_MIRROR names, with a keyring for it.
 */
export function debianArchive(
  suite: string,
  place: Place = thisMachine,
  keyring?: string,
): Archive | undefined {
  const named = process.env.UML_LAB_DEBIAN_MIRROR;
  const mirror = named
    ? { uri: named, signedBy: undefined }
    : debianMirror(readSources(join(place.root, "etc/apt")), distributionOf(place));
  if (mirror === undefined) return undefined;
  const own = existsSync(join(place.root, DEBIAN_KEYRING)) ? DEBIAN_KEYRING : mirror.signedBy;
  const signedBy = keyring ?? own;
  return {
    name: suite,
    sources: [
      { uris: [mirror.uri], suites: [suite], components: ["main"], signedBy, architectures: [] },
    ],
  };
}

/** NO_APT (status 3), with the ways out. */
export function noApt(missing: string, kind: "NO_APT" | "NO_KERNEL" = "NO_APT"): LabError {
  return new LabError(kind, `${missing}, and apt-get and dpkg-deb are not on this machine`, {
    hint:
      "run on Debian or Ubuntu, or start a Docker engine (the fetch then runs in a container), " +
      "or set UML_LAB_KERNEL to a User Mode Linux kernel",
  });
}
