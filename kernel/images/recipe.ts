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

/**
 * Taken for installed, so that apt leaves them out: what only maintainer scripts need, and what
 * busybox or we supply.
 */
export const LEFT_OUT: readonly string[] = [
  "adduser",
  "base-files",
  "debconf",
  "debianutils",
  "dpkg",
  "init-system-helpers",
  "libcap2-bin",
  "libpam-modules",
  "libpam-runtime",
  "mawk",
  "passwd",
  "perl-base",
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
};

export function recipeFor(reference: string): Recipe | undefined {
  return Object.hasOwn(RECIPES, reference) ? RECIPES[reference] : undefined;
}
