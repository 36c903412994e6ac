/**
 * The sources of a kernel, made ready to build: a Debian `linux-source` package, a tarball, or a
 * tree that the user has. Packages and tarballs are unpacked once into the build's own folder,
 * without what User Mode Linux never compiles; a user's tree is only read.
 */

import { createHash } from "node:crypto";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
} from "node:fs";
import { basename, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { LabError } from "../../base/errors.ts";
import { removeTree } from "../cache/cache.ts";
import { type Archive, downloadPackages } from "../packages/apt.ts";
import { debianArchive, hostArchive } from "../packages/archives.ts";
import { runOrFail } from "../packages/child.ts";
import { openPlace } from "../packages/open-place.ts";
import { type Place, thisMachine } from "../packages/place.ts";
import { packageInfoOf, unpackPackage } from "../packages/unpack.ts";
import type { EnsureOptions } from "../progress.ts";

/** The release that serves best, measured: docs/decisions/0310-lean-kernel.md. */
export const DEFAULT_SOURCE = "7.3";

/** Where `linux-source-X` is looked for, after the machine's own archive. */
const SUITES = ["trixie-backports", "bookworm-backports", "testing", "sid", "trixie", "bookworm"];

export type SourceChoice =
  | { readonly kind: "package"; readonly series: string }
  | { readonly kind: "tarball"; readonly path: string }
  | { readonly kind: "tree"; readonly path: string };

/** `7.3`, or the path of a tree or a tarball. Throws BAD_VALUE, FILE_UNREADABLE. */
export function parseSource(source: string): SourceChoice {
  const stat = statSync(source, { throwIfNoEntry: false });
  if (stat === undefined) {
    if (/^\d+\.\d+$/.test(source)) return { kind: "package", series: source };
    throw new LabError("FILE_UNREADABLE", `there is no kernel source ${source}`, {
      hint: "name a release (7.3, 6.12), a folder with a kernel's sources, or a tarball",
    });
  }
  const path = resolve(source);
  if (!stat.isDirectory()) return { kind: "tarball", path };
  if (!existsSync(join(path, "arch/um/Kconfig"))) {
    throw new LabError("BAD_VALUE", `${source} does not hold the sources of a Linux kernel`);
  }
  return { kind: "tree", path };
}

/** What stands for a source in a name: the same text, the same source. */
export async function identityOf(choice: SourceChoice): Promise<string> {
  switch (choice.kind) {
    case "package":
      return `linux-source-${choice.series}`;
    case "tree":
      return choice.path;
    case "tarball": {
      const hash = createHash("sha256");
      await pipeline(createReadStream(choice.path), hash);
      return hash.digest("hex");
    }
  }
}

export interface Source {
  readonly tree: string;
  /** For `kernel list`: `linux-source-7.3 7.3.4-1 (trixie-backports)`, or the path. */
  readonly madeFrom: string;
}

export interface SourceOptions extends EnsureOptions {
  readonly lockFd: number;
  /** Where packages are fetched, if it can, and tarballs are unpacked. */
  readonly place: Place;
  /** `xz`, if the tarball wants it. */
  readonly xz: string;
  /** Changes sources that were just unpacked; what it leaves is taken as it is from then on. */
  readonly amend: (tree: string) => Promise<void>;
}

/** Unpacks the source below `work` if need be; what is there and whole is taken as it is. */
export async function makeSource(
  choice: SourceChoice,
  work: string,
  options: SourceOptions,
): Promise<Source> {
  switch (choice.kind) {
    case "tree":
      return { tree: choice.path, madeFrom: choice.path };
    case "tarball":
      return {
        tree: await unpackTree(choice.path, work, options),
        madeFrom: basename(choice.path),
      };
    case "package": {
      const { deb, archive } = await fetchDeb(choice.series, join(work, "packages"), options);
      const { name, version } = packageInfoOf(deb);
      const madeFrom = `${name} ${version} (${archive})`;
      const tree = join(work, "source");
      if (existsSync(tree)) return { tree, madeFrom };
      const tarballs = join(work, "tarball");
      mkdirSync(tarballs, { recursive: true });
      await unpackPackage(deb, tarballs, { ...options, except: ["./usr/share/*"] });
      const folder = join(tarballs, "usr/src");
      const tarball = readdirSync(folder).find((file) => file.startsWith("linux-source-"));
      if (tarball === undefined) throw new LabError("FETCH_FAILED", `${name} holds no sources`);
      await unpackTree(join(folder, tarball), work, options);
      removeTree(tarballs);
      return { tree, madeFrom };
    }
  }
}

/** The package, kept in `folder/SUITE/` until the build is done. */
async function fetchDeb(
  series: string,
  folder: string,
  options: SourceOptions,
): Promise<{ readonly deb: string; readonly archive: string }> {
  const name = `linux-source-${series}`;
  const debsIn = (at: string) =>
    existsSync(at) ? readdirSync(at).filter((file) => file.endsWith(".deb")) : [];
  if (existsSync(folder)) {
    for (const archive of readdirSync(folder).filter((entry) => !entry.endsWith(".part"))) {
      const deb = debsIn(join(folder, archive))[0];
      if (deb !== undefined) return { deb: join(folder, archive, deb), archive };
    }
  }
  await using opened =
    options.place === thisMachine
      ? await openPlace(`${name} comes from Debian`, options)
      : undefined;
  const place = opened ?? options.place;
  const archives = [
    hostArchive(place),
    ...SUITES.map((suite) => debianArchive(suite, place)),
  ].filter((archive): archive is Archive => archive !== undefined);
  const failures: string[] = [];
  for (const archive of archives) {
    const part = join(folder, `${archive.name}.part`);
    const home = join(folder, archive.name);
    removeTree(part);
    mkdirSync(part, { recursive: true });
    try {
      await downloadPackages(
        archive,
        { packages: [name], into: part, closure: undefined },
        options,
        place,
      );
      renameSync(part, home);
      const deb = debsIn(home)[0];
      if (deb !== undefined) return { deb: join(home, deb), archive: archive.name };
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof LabError) || error.code === "NO_SPACE") throw error;
      failures.push(`${archive.name}: ${error.message.split("\n")[0]}`);
    } finally {
      removeTree(part);
    }
  }
  throw new LabError("FETCH_FAILED", `${name} could not be had:\n  ${failures.join("\n  ")}`, {
    hint: "is the network up? Any other tree serves too: uml-lab kernel build --source DIR|TARBALL",
  });
}

/**
 * Sources of other machines' processors and of drivers for real hardware: nine tenths of a tree.
 * Their Kconfig files and Makefiles stay, because the whole tree's configuration reads them.
 */
const NEVER_COMPILED = [
  ...["alpha", "arc", "arm", "arm64", "csky", "hexagon", "loongarch", "m68k", "microblaze", "mips"],
  ...["nios2", "openrisc", "parisc", "powerpc", "riscv", "s390", "sh", "sparc", "xtensa"],
]
  .map((arch) => `arch/${arch}`)
  .concat(
    ["gpu", "media", "infiniband", "scsi", "staging", "usb", "iio", "mtd", "comedi", "accel"].map(
      (drivers) => `drivers/${drivers}`,
    ),
    ["ethernet", "wireless", "can", "dsa"].map((drivers) => `drivers/net/${drivers}`),
    ["sound", "Documentation", "tools/testing", "tools/perf"],
  )
  .flatMap((folder) =>
    ["c", "h", "S", "rst", "json", "dts", "dtsi", "yaml"].map((end) => `*/${folder}/*.${end}`),
  );

async function unpackTree(tarball: string, work: string, options: SourceOptions): Promise<string> {
  const tree = join(work, "source");
  if (existsSync(tree)) return tree;
  const part = join(work, "source.part");
  removeTree(part);
  mkdirSync(part, { recursive: true });
  const what = "unpacking the kernel's sources";
  const total = statSync(tarball).size;
  options.onProgress?.({ what, done: 0, total, unit: "bytes" });
  const command = ["tar", "-x", "-f", tarball, "-C", part, "--strip-components=1"];
  command.push("--no-same-owner", "--wildcards", "--wildcards-match-slash");
  if (tarball.endsWith("xz")) command.push(`--use-compress-program=${options.xz}`);
  command.push(...NEVER_COMPILED.map((pattern) => `--exclude=${pattern}`));
  const { place, signal, lockFd } = options;
  await runOrFail(command, what, { place, signal, lockFd });
  if (!existsSync(join(part, "arch/um/Kconfig"))) {
    throw new LabError("BAD_VALUE", `${tarball} does not hold the sources of a Linux kernel`);
  }
  await options.amend(part);
  renameSync(part, tree);
  return tree;
}
