/**
 * `host`: what every user of the host may read of its programs and settings, as an image. It is a
 * copy: a guest has no way to the host's files, whatever its kernel can do.
 *
 * Taken are /usr and /etc (with /bin, /lib, …), and of them only what others than the owner may
 * read, whoever makes it: no /etc/shadow, no keys. Everything else is an empty folder in the guest
 * (docs/decisions/0322-the-host-as-an-image.md).
 */

import { lstatSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashOf } from "../cache/cache.ts";
import { runOrFail } from "../packages/child.ts";
import { ensureTool } from "../tools.ts";
import { ANY_MEMORY, type ImageSource } from "./source.ts";

const TAKEN = ["usr", "etc", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/** Readable for all, and yet nobody else's business or of no use. */
const MASKED = [
  "etc/machine-id",
  "etc/hostid",
  "etc/adjtime",
  "etc/fstab",
  "etc/resolv.conf",
  "etc/hosts",
  "etc/hostname",
  "etc/krb5.keytab",
  "etc/ssl/private",
  "etc/apt/auth.conf",
  "etc/apt/auth.conf.d",
  "etc/NetworkManager/system-connections",
  "etc/wireguard",
  "etc/openvpn",
  "etc/letsencrypt",
  "etc/docker",
  "etc/kubernetes",
  "usr/local/share/keys",
  "usr/share/doc",
  "usr/share/man",
  "usr/share/locale",
  "usr/lib/debug",
  "usr/lib/modules",
  "usr/src",
];
const MASKED_NAMES =
  /^(ssh_host_.*_key|.*\.key|.*_rsa|id_(rsa|dsa|ecdsa|ed25519)|\.netrc|\.pgpass|\.git-credentials)$/;

/** Made empty, so that there is a place for what a guest mounts and writes. */
const EMPTY: readonly (readonly [path: string, mode: string])[] = [
  ["dev", "755"],
  ["proc", "555"],
  ["sys", "555"],
  ["run", "755"],
  ["run/lock", "1777"],
  ["tmp", "1777"],
  ["root", "700"],
  ["home", "755"],
  ["mnt", "755"],
  ["media", "755"],
  ["opt", "755"],
  ["srv", "755"],
  ["var", "755"],
  ["var/cache", "755"],
  ["var/lib", "755"],
  ["var/lib/misc", "755"],
  ["var/log", "755"],
  ["var/spool", "755"],
  ["var/tmp", "1777"],
];

const OTHERS_READ = 0o004;
const OTHERS_ENTER = 0o005;

export function hostImage(root = "/"): ImageSource {
  const folders: string[] = [];
  const taken = TAKEN.filter((name) => lstatSync(join(root, name), { throwIfNoEntry: false }));
  for (const name of taken)
    walk(join(root, name), name, { folder: (...at) => folders.push(at.join("\0")) });
  return {
    // a package that comes, goes or changes touches a folder
    entry: `host-${hashOf({ MASKED, EMPTY, names: String(MASKED_NAMES), folders }, 8)}`,
    ...ANY_MEMORY,
    async build(file, { scratch, lock }, options) {
      const { signal, onProgress } = options;
      const mksquashfs = await ensureTool("mksquashfs", options);
      onProgress?.({ what: "looking at the host's files", done: 0, unit: "items" });
      const hidden: string[] = [];
      for (const name of taken)
        walk(join(root, name), name, { hidden: (path) => hidden.push(path) });
      const list = join(scratch, "hidden");
      writeFileSync(list, hidden.map((path) => `${path}\n`).join(""));
      onProgress?.({ what: "packing the host's files", done: 0, unit: "items" });
      await runOrFail(
        [
          mksquashfs,
          ...taken.map((name) => join(root, name)),
          file,
          ...["-comp", "lz4", "-b", "32K", "-no-xattrs", "-no-exports", "-noappend"],
          ...["-no-progress", "-quiet"],
          ...["-mkfs-time", "0", "-ef", list],
          ...EMPTY.flatMap(([path, mode]) => ["-p", `${path} d ${mode} 0 0`]),
          ...["-p", "var/run s 777 0 0 /run", "-p", "var/lock s 777 0 0 /run/lock"],
        ],
        "packing the host's files",
        { signal, lockFd: lock.fd, env: { ...process.env, SOURCE_DATE_EPOCH: undefined } },
      );
      return { packages: [] };
    },
  };
}

interface Visitor {
  /** A folder that is taken, or a file in /etc: its path, and when it changed last. */
  readonly folder?: (path: string, mtimeMs: number) => void;
  /** What stays out, absolute. */
  readonly hidden?: (path: string) => void;
}

function walk(full: string, path: string, visit: Visitor): void {
  const stat = lstatSync(full, { throwIfNoEntry: false });
  if (stat === undefined) return;
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (MASKED.includes(path) || MASKED_NAMES.test(name)) {
    visit.hidden?.(full);
    return;
  }
  if (stat.isSymbolicLink()) return;
  const needed = stat.isDirectory() ? OTHERS_ENTER : OTHERS_READ;
  const kind = stat.isDirectory() || stat.isFile();
  if (!kind || (stat.mode & needed) !== needed) {
    visit.hidden?.(full);
    return;
  }
  if (!stat.isDirectory()) {
    if (path.startsWith("etc/")) visit.folder?.(path, stat.mtimeMs);
    return;
  }
  visit.folder?.(path, stat.mtimeMs);
  for (const entry of readdirSync(full, { withFileTypes: true })) {
    // the names of files are not needed to tell what changed
    if (visit.hidden === undefined && !entry.isDirectory() && !path.startsWith("etc")) continue;
    walk(join(full, entry.name), `${path}/${entry.name}`, visit);
  }
}
