/**
 * What an image is made of. A recipe is data: its hash, with the archive it is fetched from, names
 * the image in the cache, so another recipe is another image.
 */

export interface Recipe {
  /** As a topology names it: `base`. */
  readonly reference: string;
  readonly packages: readonly string[];
  /** Taken without what they depend on. */
  readonly alone: readonly string[];
  /** Members of a package that stay packed, as shell patterns. */
  readonly except?: Readonly<Record<string, readonly string[]>>;
  /** Taken for installed, so that apt leaves it out. */
  readonly leftOut: readonly string[];
  /** It has the packages' init scripts, and `service` and `systemctl` to call them by. */
  readonly services?: true;
  /** The least RAM a guest with it needs, and what it gets when the file says nothing. */
  readonly minimumMemoryBytes: number;
  readonly defaultMemoryBytes: number;
}

const MIB = 1 << 20;

/** busybox and what a person at a network guest's prompt looks for first. */
const BASE_PACKAGES = [
  "busybox-static",
  "bash",
  "dash",
  "dropbear-bin",
  "ethtool",
  "fping",
  "iproute2",
  "iptables",
  "iputils-ping",
  "ncurses-base",
  "netbase",
  "nftables",
  "socat",
  "tcpdump",
  "traceroute",
  // busybox's dies of SIGSEGV on a name that can't be resolved: it is linked statically with glibc
  "wget",
];

/** What a router, a server and who looks for faults between them need. */
const ROUTER_PACKAGES = [
  "bind9",
  "bind9-dnsutils",
  "bird2",
  "bridge-utils",
  "conntrack",
  "curl",
  "dnsmasq",
  "frr",
  "frr-pythontools",
  "iperf3",
  "jq",
  "keepalived",
  "less",
  "mtr-tiny",
  "nano",
  "nginx",
  "openssh-client",
  "procps",
  "python3",
  "radvd",
  "sysvinit-utils",
  "wireguard-tools",
];

/** Of dpkg, init scripts need start-stop-daemon; the rest is of no use to a guest. */
const OF_DPKG = ["bin", "lib", "libexec", "share"].map((name) => `./usr/${name}/*`);

/** keepalived links to Perl by way of SNMP; there is no `perl` that could run the modules. */
const OF_PERL = ["./usr/share/perl/*", "./usr/lib/*/perl/*", "./usr/lib/*/perl-base/*"];

const ROUTER_EXCEPT = {
  dpkg: [...OF_DPKG, "./etc/*", "./var/*", "./usr/sbin/dpkg*", "./sbin/dpkg*"],
  "libsnmp-base": ["./usr/share/snmp/mibs/*"],
  keepalived: ["./usr/share/snmp/*"],
  "libperl5.*": OF_PERL,
  "perl-modules-5.*": OF_PERL,
};

/** Left out of images with packages of a topology's choosing: what only maintainer scripts need. */
const FOR_SCRIPTS = [
  "adduser",
  "base-files",
  "debconf",
  "dpkg",
  "init-system-helpers",
  "mawk",
  "runit-helper",
  "sensible-utils",
  "ucf",
];

/**
 * Taken for installed, so that apt leaves them out: what only maintainer scripts need, and what
 * busybox or we supply.
 */
const LEFT_OUT: readonly string[] = [
  "adduser",
  "base-files",
  "debconf",
  "cron",
  "debianutils",
  "dpkg",
  "init-system-helpers",
  "libcap2-bin",
  "libpam-modules",
  "libpam-runtime",
  "logrotate",
  "mawk",
  "passwd",
  "pci.ids",
  "perl-base",
  "runit-helper",
  "sensible-utils",
  "ucf",
];

const RECIPES: Readonly<Record<string, Recipe>> = {
  base: {
    reference: "base",
    packages: BASE_PACKAGES,
    // the server of sftp and scp, which wants the whole client, but only by name
    alone: ["openssh-sftp-server"],
    leftOut: LEFT_OUT,
    minimumMemoryBytes: 40 * MIB,
    defaultMemoryBytes: 64 * MIB,
  },
  router: {
    reference: "router",
    packages: [...BASE_PACKAGES, ...ROUTER_PACKAGES],
    alone: ["openssh-sftp-server", "dpkg", "libc-bin", "libpam-modules"],
    except: ROUTER_EXCEPT,
    leftOut: LEFT_OUT,
    services: true,
    minimumMemoryBytes: 64 * MIB,
    defaultMemoryBytes: 128 * MIB,
  },
};

/** `packages:[b, a]` is `packages:[a,b]`; what is asked for by name is never left out. */
export function recipeFor(reference: string): Recipe | undefined {
  const asked = /^packages:\[([^\]]*)\]$/.exec(reference)?.[1];
  if (asked === undefined)
    return Object.hasOwn(RECIPES, reference) ? RECIPES[reference] : undefined;
  const packages = [...new Set(asked.split(",").map((name) => name.trim()))].filter(Boolean).sort();
  return {
    reference: `packages:[${packages.join(",")}]`,
    packages: [...BASE_PACKAGES, ...packages],
    alone: ["openssh-sftp-server", "dpkg", "libc-bin"],
    except: { dpkg: ROUTER_EXCEPT.dpkg },
    leftOut: FOR_SCRIPTS.filter((name) => !packages.includes(name)),
    services: true,
    minimumMemoryBytes: 48 * MIB,
    defaultMemoryBytes: 128 * MIB,
  };
}
