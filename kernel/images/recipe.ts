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

/**
 * Taken for installed, so that apt leaves them out: what only maintainer scripts need, and what
 * busybox or we supply.
 */
export const LEFT_OUT: readonly string[] = [
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
    minimumMemoryBytes: 40 * MIB,
    defaultMemoryBytes: 64 * MIB,
  },
  router: {
    reference: "router",
    packages: [...BASE_PACKAGES, ...ROUTER_PACKAGES],
    alone: ["openssh-sftp-server", "dpkg", "libc-bin", "libpam-modules"],
    except: ROUTER_EXCEPT,
    services: true,
    minimumMemoryBytes: 64 * MIB,
    defaultMemoryBytes: 128 * MIB,
  },
};

export function recipeFor(reference: string): Recipe | undefined {
  return Object.hasOwn(RECIPES, reference) ? RECIPES[reference] : undefined;
}
