/**
 * Programs that building and running labs needs on the host: the host's own where it has them, else
 * from a Debian package, unpacked in the cache and run from there.
 *
 *     CACHE/tools/squashfs-tools-1a2b3c4d/{bin/mksquashfs,bin/unsquashfs,root/…,manifest.json}
 *
 * Only what the host lacks is fetched (apt resolves against the host's own dpkg status), so a tool
 * runs with the host's C library; libraries that came along are found through LD_LIBRARY_PATH, in a
 * wrapper.
 */

import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { LabError } from "../base/errors.ts";
import { ensurePublished, hashOf, lookUp } from "./cache/cache.ts";

import { downloadPackages, findProgram } from "./packages/apt.ts";
import { hostArchive } from "./packages/archives.ts";
import { openPlace } from "./packages/open-place.ts";
import { type Place, thisMachine } from "./packages/place.ts";
import { packageInfoOf, unpackPackage } from "./packages/unpack.ts";

import type { EnsureOptions } from "./progress.ts";

/** The Debian package of each tool, and what it needs when it runs from elsewhere. */
const TOOLS = {
  bwrap: { package: "bubblewrap" },
  tcc: { package: "tcc", arguments: (root: string) => [`-B${root}/usr/lib/x86_64-linux-gnu/tcc`] },
  mksquashfs: { package: "squashfs-tools" },
  unsquashfs: { package: "squashfs-tools" },
  sqfstar: { package: "squashfs-tools" },
  patchelf: { package: "patchelf" },
  "mkfs.erofs": { package: "erofs-utils" },
  mke2fs: { package: "e2fsprogs" },
  debugfs: { package: "e2fsprogs" },
  setpriv: { package: "util-linux" },
  pasta: { package: "passt" },
  passt: { package: "passt" },
  slirp4netns: { package: "slirp4netns" },
  gdb: {
    package: "gdb",
    readsShare: true,
    arguments: (root: string) => [`--data-directory=${root}/usr/share/gdb`],
    // a machine without Python gets one along with it
    environment: (root: string, there: string): Record<string, string> =>
      namesIn(join(there, "usr/lib")).some((name) =>
        existsSync(join(there, "usr/lib", name, "os.py")),
      )
        ? { PYTHONHOME: `${root}/usr` }
        : {},
  },
  // what building a kernel takes besides a compiler
  make: { package: "make" },
  bc: { package: "bc" },
  m4: { package: "m4" },
  flex: { package: "flex" },
  bison: {
    package: "bison",
    readsShare: true,
    environment: (root: string) => ({ BISON_PKGDATADIR: `${root}/usr/share/bison` }),
  },
  xz: { package: "xz-utils" },
  patch: { package: "patch" },
} as const satisfies Record<string, Tool>;

interface Tool {
  readonly package: string;
  readonly arguments?: (root: string) => string[];
  /** @param root as the script that starts it names the folder. @param there the folder now. */
  readonly environment?: (root: string, there: string) => Record<string, string>;
  /** Data that it reads from usr/share, which is left out otherwise. */
  readonly readsShare?: true;
}

const DOCUMENTATION = ["doc", "info", "locale", "man"].map((kind) => `./usr/share/${kind}/*`);

export type ToolName = keyof typeof TOOLS;

interface ToolManifest {
  readonly packages: readonly string[];
}

/** A change of how tools are laid out gets a new folder. */
const LAYOUT = 1;

/**
 * Path of the executable, for `place` (this machine if none is given), fetched first if need be.
 * Throws NO_TOOL, NO_APT, NO_DOCKER, FETCH_FAILED.
 */
export async function ensureTool(
  name: ToolName,
  options: EnsureOptions = {},
  place?: Place,
): Promise<string> {
  // what this machine has is not in a container
  const elsewhere = place !== undefined && place !== thisMachine;
  const there = elsewhere ? cachedTool(name) : findTool(name);
  if (there !== undefined) return there;
  const tool: Tool = TOOLS[name];
  const entry = await ensurePublished<ToolManifest>(
    "tools",
    entryName(name),
    { ...options, purpose: `fetching ${name}` },
    async ({ folder, scratch, lock }) => {
      await using opened =
        place === undefined
          ? await openPlace(`${name} is not on this machine`, options)
          : undefined;
      const where = place ?? (opened as Place);
      const debs = await downloadPackages(
        hostArchive(where),
        { packages: [tool.package], into: scratch, closure: { installed: "host" } },
        options,
        where,
      );
      if (debs.length === 0) {
        throw new LabError(
          "NO_TOOL",
          `${name} is not on the PATH, though its package is installed`,
          {
            hint: `look where ${tool.package} put it`,
          },
        );
      }
      const root = join(folder, "root");
      mkdirSync(root);
      for (const deb of debs) {
        await unpackPackage(deb, root, {
          place: where,
          signal: options.signal,
          lockFd: lock.fd,
          except: tool.readsShare ? DOCUMENTATION : ["./usr/share/*"],
        });
      }
      writeLaunchers(folder, tool);
      return {
        packages: debs.map(packageInfoOf).map(({ name, version }) => `${name} ${version}`),
      };
    },
  );
  const path = join(entry.folder, "bin", name);
  if (!existsSync(path)) {
    throw new LabError("NO_TOOL", `the package ${tool.package} has no program ${name}`);
  }
  return path;
}

/** The tool where it is at hand already, on the host or in the cache; fetches nothing. */
export function findTool(name: ToolName): string | undefined {
  return findProgram(name) ?? cachedTool(name);
}

function cachedTool(name: ToolName): string | undefined {
  const cached = lookUp<ToolManifest>("tools", entryName(name));
  return cached === undefined ? undefined : join(cached.folder, "bin", name);
}

function entryName(name: ToolName): string {
  const { package: from } = TOOLS[name];
  return `${from}-${hashOf({ LAYOUT, from }, 8)}`;
}

/**
 * `bin/NAME` for every program of the packages: a link where it runs as it is, else a script that
 * finds itself again wherever the cache is moved.
 */
function writeLaunchers(folder: string, tool: Tool): void {
  const root = join(folder, "root");
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const libraries = libraryFolders(root);
  const given = tool.arguments?.("$root") ?? [];
  const environment = Object.entries(tool.environment?.("$root", root) ?? {});
  for (const place of ["usr/bin", "usr/sbin", "bin", "sbin"]) {
    for (const program of namesIn(join(root, place))) {
      const launcher = join(bin, program);
      if (existsSync(launcher)) continue;
      if (libraries.length === 0 && given.length === 0 && environment.length === 0) {
        symlinkSync(join("..", "root", place, program), launcher);
        continue;
      }
      const path = libraries.map((library) => `$root/${relative(root, library)}`).join(":");
      const lines = [
        "#!/bin/sh",
        `here=$(readlink -f "$0") && root=\${here%/bin/*}/root`,
        ...(path === "" ? [] : [`export LD_LIBRARY_PATH="${path}"`]),
        ...environment.map(([name, value]) => `export ${name}="${value}"`),
        `exec "$root/${place}/${program}" ${given.map((word) => `"${word}" `).join("")}"$@"`,
        "",
      ];
      writeFileSync(launcher, lines.join("\n"));
      chmodSync(launcher, 0o755);
    }
  }
}

/** Folders with shared libraries that the dynamic linker would look for. */
function libraryFolders(root: string): string[] {
  return ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib", "usr/lib"]
    .map((path) => join(root, path))
    .filter((path) => namesIn(path).some((name) => /\.so(\.|$)/.test(name)));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
