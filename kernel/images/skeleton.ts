/**
 * The parts of a root file system that no package brings, because on an installed machine
 * maintainer scripts make them: accounts, mount points, configuration, links.
 */

import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type Accounts, makeAccounts } from "./accounts.ts";
import type { Alternative, FolderWish, Wishes } from "./maintainer-scripts.ts";
import type { Owner, Owners } from "./squashfs.ts";
import { resolveIn } from "./tree.ts";

export interface Finish {
  /** Paths of busybox's applets: `usr/bin/awk`. */
  readonly applets: readonly string[];
  readonly wishes: Wishes;
  readonly folders: readonly FolderWish[];
}

/** Made before packages are unpacked, so that `./bin/x` lands in `/usr/bin`. */
const MERGED = ["bin", "sbin", "lib", "lib64"] as const;

const FOLDERS: readonly (readonly [path: string, mode: number])[] = [
  ["dev", 0o755],
  ["proc", 0o555],
  ["sys", 0o555],
  ["run", 0o755],
  ["tmp", 0o1777],
  ["mnt", 0o755],
  ["media", 0o755],
  ["opt", 0o755],
  ["srv", 0o755],
  ["home", 0o755],
  ["root", 0o700],
  ["boot", 0o755],
  ["etc", 0o755],
  ["usr", 0o755],
  ["usr/bin", 0o755],
  ["usr/sbin", 0o755],
  ["usr/lib", 0o755],
  ["usr/lib64", 0o755],
  ["usr/lib/modules", 0o755],
  ["usr/local", 0o755],
  ["usr/local/bin", 0o755],
  ["usr/local/sbin", 0o755],
  ["var", 0o755],
  ["var/cache", 0o755],
  ["var/lib", 0o755],
  ["var/lib/misc", 0o755],
  ["var/log", 0o755],
  ["var/spool", 0o755],
  ["var/tmp", 0o1777],
  ["var/www", 0o755],
];

const LINKS: readonly (readonly [path: string, target: string])[] = [
  ["var/run", "/run"],
  ["var/lock", "/run/lock"],
  ["etc/mtab", "/proc/self/mounts"],
];

const SCRIPT = 0o755;

const FILES: readonly (readonly [path: string, text: string, mode?: number])[] = [
  ["etc/hostname", "guest\n"],
  ["etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"],
  ["etc/resolv.conf", ""],
  ["etc/host.conf", "multi on\n"],
  [
    "etc/nsswitch.conf",
    "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n" +
      "protocols: files\nservices: files\n",
  ],
  ["etc/shells", "/bin/sh\n/bin/bash\n"],
  ["etc/fstab", ""],
  ["etc/issue", "uml-lab \\n \\l\n"],
  ["etc/motd", ""],
  [
    "etc/profile",
    "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n" +
      'if [ -n "$BASH_VERSION" ]; then [ -r /etc/bash.bashrc ] && . /etc/bash.bashrc\n' +
      "else PS1='\\u@\\h:\\w\\$ '\nfi\n" +
      'for part in /etc/profile.d/*.sh; do [ -r "$part" ] && . "$part"; done\nunset part\n',
  ],
  [
    "etc/bash.bashrc",
    "[ -z \"$PS1\" ] && return\nshopt -s checkwinsize\nPS1='\\u@\\h:\\w\\$ '\n" +
      "alias ll='ls -l'\n",
  ],
  ["root/.bashrc", "alias ip='ip -color=auto'\n"],
  ["root/.profile", "[ -r ~/.bashrc ] && . ~/.bashrc\n"],
  [
    // what busybox's udhcpc runs with what it was given
    "usr/share/udhcpc/default.script",
    `#!/bin/sh
case $1 in
deconfig)
  ip addr flush dev "$interface"
  ip link set "$interface" up
  ;;
bound | renew)
  ip addr replace "$ip/\${mask:-24}" dev "$interface"
  for gateway in $router; do ip route replace default via "$gateway" dev "$interface"; done
  if [ -n "$dns" ]; then
    for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
  fi
  ;;
esac
`,
    SCRIPT,
  ],
];

/** Debian's choice between two makes of a program, made when it runs. */
const XTABLES_CHOICE = `#!/bin/sh
# nf_tables where this kernel has it, else the legacy tables
name=\${0##*/}
if xtables-nft-multi "\${name%%-*}" -S > /dev/null 2>&1; then
  exec xtables-nft-multi "$name" "$@"
fi
exec xtables-legacy-multi "$name" "$@"
`;

/** What daemons' start scripts make where no `tmpfiles.d` says so; only where their user is. */
const DAEMONS_FOLDERS: readonly FolderWish[] = [
  { path: "/run/lock", mode: 0o1777, user: "root", group: "root" },
  { path: "/run/sshd", mode: 0o755, user: "root", group: "root" },
  { path: "/run/frr", mode: 0o755, user: "frr", group: "frr" },
  { path: "/etc/frr", mode: 0o755, user: "frr", group: "frr" },
  { path: "/var/log/frr", mode: 0o755, user: "frr", group: "frr" },
  { path: "/run/bird", mode: 0o775, user: "bird", group: "bird" },
  { path: "/run/named", mode: 0o775, user: "root", group: "bind" },
  { path: "/var/cache/bind", mode: 0o775, user: "root", group: "bind" },
  { path: "/var/lib/bind", mode: 0o775, user: "root", group: "bind" },
  { path: "/run/radvd", mode: 0o755, user: "radvd", group: "nogroup" },
];

const PAM = "usr/lib/x86_64-linux-gnu/security/pam_unix.so";

/** Whoever the accounts' files let in; a package's own rules go before. */
const PAM_RULES = [
  "other",
  "common-auth",
  "common-account",
  "common-password",
  "common-session",
].map((name) => {
  const part = name.replace("common-", "");
  const parts = name === "other" ? ["auth", "account", "password", "session"] : [part];
  const rules = parts.map(
    (each) => `${each} required pam_unix.so${each === "auth" ? " nullok" : ""}\n`,
  );
  return [PAM, `etc/pam.d/${name}`, rules.join("")] as const;
});

/** Where the first is there and the second is not: the second's text, `-> ` where it points to, or `= ` what it is a copy of. */
const CONFIGURATION: readonly (readonly [needs: string, path: string, content: string])[] = [
  ...PAM_RULES,
  ["usr/share/bird2/bird.conf", "etc/bird/bird.conf", "= usr/share/bird2/bird.conf"],
  [
    "etc/nginx/sites-available/default",
    "etc/nginx/sites-enabled/default",
    "-> /etc/nginx/sites-available/default",
  ],
  [
    "usr/sbin/nginx",
    "var/www/html/index.html",
    "<!doctype html>\n<title>It works</title>\n<p>It works: nginx on a uml-lab guest.\n",
  ],
];

/** All that is laid besides packages, to be part of an image's name: another one is another image. */
export const SKELETON_DATA = {
  FOLDERS,
  LINKS,
  FILES,
  DAEMONS_FOLDERS,
  CONFIGURATION,
  XTABLES_CHOICE,
};

/** Lays the empty tree that packages are unpacked into. */
export function laySkeleton(root: string): void {
  for (const [path, mode] of FOLDERS) {
    mkdirSync(join(root, path), { recursive: true });
    chmodSync(join(root, path), mode);
  }
  for (const name of MERGED) symlinkSync(`usr/${name}`, join(root, name));
  for (const [path, target] of LINKS) symlinkSync(target, join(root, path));
}

/** What comes after the packages; a file that a package brought stays. */
export function finishTree(root: string, { applets, wishes, folders }: Finish): Owners {
  const put = (path: string, text: string, mode = 0o644) => {
    if (present(root, path)) return;
    const full = join(root, resolveIn(root, path));
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
    chmodSync(full, mode);
  };
  const accounts = makeAccounts(wishes);
  put("etc/passwd", accounts.passwd);
  put("etc/group", accounts.group);
  put("etc/shadow", accounts.shadow, 0o640);
  for (const [path, text, mode] of FILES) put(path, text, mode);
  const owners = makeFolders(root, folders, accounts);
  for (const [needs, path, content] of CONFIGURATION) {
    if (!present(root, needs) || present(root, path)) continue;
    if (content.startsWith("->")) {
      const full = join(root, resolveIn(root, path));
      mkdirSync(dirname(full), { recursive: true });
      symlinkSync(content.slice(2).trim(), full);
    } else if (content.startsWith("= ")) put(path, readFileSync(join(root, needs), "utf8"));
    else put(path, content);
  }
  chooseXtables(root, put);
  linkAlternatives(root, wishes.alternatives);
  linkApplets(root, applets);
  return owners;
}

/** Folders that daemons want for themselves; who owns what is not root's. */
function makeFolders(root: string, wanted: readonly FolderWish[], accounts: Accounts): Owners {
  const owners = new Map<string, Owner>();
  for (const { path, mode, user, group } of [...DAEMONS_FOLDERS, ...wanted]) {
    const [uid, gid] = [accounts.userId(user), accounts.groupId(group)];
    if (uid === undefined || gid === undefined) continue;
    // `/var/lock/x` is in the image's own /run/lock
    const inside = resolveIn(root, path);
    const there = lstatSync(join(root, inside), { throwIfNoEntry: false });
    if (there !== undefined && !there.isDirectory()) continue;
    mkdirSync(join(root, inside), { recursive: true });
    chmodSync(join(root, inside), mode);
    if (uid !== 0 || gid !== 0) owners.set(inside, { uid, gid });
  }
  return owners;
}

function chooseXtables(
  root: string,
  put: (path: string, text: string, mode?: number) => void,
): void {
  if (!present(root, "usr/sbin/xtables-nft-multi")) return;
  for (const family of ["iptables", "ip6tables"]) {
    for (const verb of ["", "-save", "-restore"]) {
      put(`usr/sbin/${family}${verb}`, XTABLES_CHOICE, SCRIPT);
    }
  }
}

/** The best of what packages offer for a name; then `traceroute.db` is `traceroute`. */
function linkAlternatives(root: string, offered: readonly Alternative[]): void {
  const best = [...offered].sort(
    (a, b) => b.priority - a.priority || (a.target < b.target ? -1 : 1),
  );
  for (const { link, target } of best) {
    if (!present(root, target.slice(1)) || present(root, link.slice(1))) continue;
    const full = join(root, resolveIn(root, link));
    mkdirSync(dirname(full), { recursive: true });
    symlinkSync(target, full);
  }
  for (const name of namesIn(join(root, "usr/bin"))) {
    const plain = /^(.*)\.db$/.exec(name)?.[1];
    if (plain && !present(root, `usr/bin/${plain}`)) {
      symlinkSync(name, join(root, "usr/bin", plain));
    }
  }
}

/** Would only look like the real thing. */
const NOT_LINKED = new Set(["dpkg", "dpkg-deb", "rpm", "rpm2cpio", "linuxrc", "run-init"]);

/** Links to busybox for every applet that no package brings. */
function linkApplets(root: string, applets: readonly string[]): void {
  const places = ["usr/bin", "usr/sbin"];
  for (const applet of applets) {
    const name = applet.split("/").at(-1) as string;
    if (NOT_LINKED.has(name)) continue;
    if (places.some((place) => present(root, `${place}/${name}`))) continue;
    const place = /^(usr\/)?sbin\//.test(applet) ? "usr/sbin" : "usr/bin";
    symlinkSync("/usr/bin/busybox", join(root, place, name));
  }
}

function present(root: string, path: string): boolean {
  return lstatSync(join(root, resolveIn(root, path)), { throwIfNoEntry: false }) !== undefined;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
