/**
 * The parts of a root file system that no package brings, because on an installed machine
 * maintainer scripts make them: accounts, mount points, configuration, links.
 */

import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

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

/** name, id, group, home, shell; group memberships are of no use to guests. */
const ACCOUNTS = [
  "root:0:0:/root:/bin/bash",
  "daemon:1:1:/usr/sbin:/usr/sbin/nologin",
  "bin:2:2:/bin:/usr/sbin/nologin",
  "sys:3:3:/dev:/usr/sbin/nologin",
  "mail:8:8:/var/mail:/usr/sbin/nologin",
  "proxy:13:13:/bin:/usr/sbin/nologin",
  "www-data:33:33:/var/www:/usr/sbin/nologin",
  "backup:34:34:/var/backups:/usr/sbin/nologin",
  "sshd:101:65534:/run/sshd:/usr/sbin/nologin",
  "tcpdump:102:102:/nonexistent:/usr/sbin/nologin",
  "nobody:65534:65534:/nonexistent:/usr/sbin/nologin",
];

const GROUPS = [
  "root:0",
  "daemon:1",
  "bin:2",
  "sys:3",
  "adm:4",
  "tty:5",
  "disk:6",
  "mail:8",
  "kmem:15",
  "proxy:13",
  "www-data:33",
  "backup:34",
  "utmp:43",
  "staff:50",
  "users:100",
  "tcpdump:102",
  "input:104",
  "nogroup:65534",
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
export function finishTree(root: string, applets: readonly string[]): void {
  const put = (path: string, text: string, mode = 0o644) => {
    const full = join(root, path);
    if (existsSync(full)) return;
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
    chmodSync(full, mode);
  };
  const accounts = ACCOUNTS.map((line) => line.split(":"));
  put("etc/passwd", lines(accounts.map(([n, u, g, h, s]) => `${n}:x:${u}:${g}:${n}:${h}:${s}`)));
  put("etc/group", lines(GROUPS.map((line) => line.replace(":", ":x:").concat(":"))));
  // root has no password: whoever reaches a guest's console is its owner
  put(
    "etc/shadow",
    lines(accounts.map(([n]) => `${n}:${n === "root" ? "" : "*"}:19000::::::`)),
    0o640,
  );
  for (const [path, text, mode] of FILES) put(path, text, mode);
  linkAlternatives(root, put);
  linkApplets(root, applets);
}

function linkAlternatives(
  root: string,
  put: (path: string, text: string, mode?: number) => void,
): void {
  if (present(root, "usr/sbin/xtables-nft-multi")) {
    for (const family of ["iptables", "ip6tables"]) {
      for (const verb of ["", "-save", "-restore"]) {
        put(`usr/sbin/${family}${verb}`, XTABLES_CHOICE, SCRIPT);
      }
    }
  }
  for (const name of namesIn(join(root, "usr/bin"))) {
    // traceroute.db, traceroute6.db: named so for update-alternatives
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
  return lstatSync(join(root, path), { throwIfNoEntry: false }) !== undefined;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join("");
