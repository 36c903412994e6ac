/**
 * FRR on a guest: which daemons a configuration needs, the files they read, and how they are
 * started. zebra comes first; a daemon's parent ends when its socket is there, so nothing waits by
 * the clock. Then `vtysh -b` hands the configuration to all of them: they have answered.
 */

import type { GuestFile, GuestService } from "../../kernel/guest/spec.ts";

/** A line that begins so, after white space, needs the daemon. */
const NEEDS: readonly (readonly [daemon: string, line: RegExp])[] = [
  ["mgmtd", /^(?!)/], // newer ones have it: started where it is there
  ["staticd", /^(ip|ipv6) route\b/],
  ["ospfd", /^(router ospf\b|ip ospf\b)/],
  ["ospf6d", /^(router ospf6\b|ipv6 ospf6?\b)/],
  ["bgpd", /^(router bgp\b|rpki$)/],
  ["ripd", /^router rip\b/],
  ["ripngd", /^router ripng\b/],
  ["isisd", /^(router isis\b|(ip|ipv6) router isis\b)/],
  ["ldpd", /^(mpls ldp\b|l2vpn )/],
  [
    "bfdd",
    /^(bfd$|neighbor \S+ bfd\b|(ip|ipv6) (ospf6?|router isis) bfd\b|ipv6 ospf6 bfd\b|isis bfd\b)/,
  ],
  ["vrrpd", /^vrrp \d/],
  ["pimd", /^(router pim$|ip (pim|igmp|mroute)\b)/],
  ["pim6d", /^(router pim6$|ipv6 (pim|mld|mroute)\b)/],
  ["eigrpd", /^router eigrp\b/],
  ["babeld", /^router babel\b/],
  ["fabricd", /^(router openfabric\b|(ip|ipv6) router openfabric\b)/],
  ["nhrpd", /^(ip|ipv6) nhrp\b/],
  ["pbrd", /^(pbr-map|pbr-policy|pbr) /],
  ["pathd", /^segment-routing$/],
];

/** The daemons a configuration needs besides zebra, in the order they are started. */
export function frrDaemons(configuration: string): string[] {
  const lines = configuration.split("\n").map((line) => line.trim());
  return NEEDS.filter(([, pattern]) => lines.some((line) => pattern.test(line))).map(
    ([daemon]) => daemon,
  );
}

const PATH = "/etc/frr/frr.conf";

export function frrFiles(configuration: string): GuestFile[] {
  const daemons = ["zebra", ...frrDaemons(configuration)];
  const text = configuration.endsWith("\n") ? configuration : `${configuration}\n`;
  const file = (path: string, content: string): GuestFile => ({
    path,
    content: Buffer.from(content),
    mode: 0o644,
  });
  return [
    file(PATH, text),
    file("/etc/frr/vtysh.conf", "service integrated-vtysh-config\n"),
    // for who restarts it by hand: `service frr restart`
    file(
      "/etc/frr/daemons",
      [
        ...daemons.filter((daemon) => daemon !== "zebra").map((daemon) => `${daemon}=yes`),
        "vtysh_enable=yes",
        `frr_profile="${profileOf(configuration)}"`,
        ...daemons.map((daemon) => `${daemon}_options="${optionsOf(daemon)}"`),
        "",
      ].join("\n"),
    ),
  ];
}

export function frrService(configuration: string): GuestService {
  return { name: "FRR", start: startScript(frrDaemons(configuration), profileOf(configuration)) };
}

/** Defaults are chosen before a daemon reads anything: its command line says so. */
function profileOf(configuration: string): string {
  return /^\s*frr defaults (\S+)/m.exec(configuration)?.[1] ?? "traditional";
}

function optionsOf(daemon: string): string {
  // a netlink buffer as large as Debian gives it; nobody else talks to the daemons by telnet
  return daemon === "zebra" ? "-A 127.0.0.1 -s 90000000" : "-A 127.0.0.1";
}

const startScript = (daemons: readonly string[], profile: string): string => `
for home in /usr/lib/frr /usr/libexec/frr /usr/sbin; do [ -x "$home/zebra" ] && break; done
if [ ! -x "$home/zebra" ]; then
  echo "this image has no FRR: \`image: router\` has it" >&2
  exit 1
fi
log=/var/log/frr/frr.log
mkdir -p /run/frr "\${log%/*}" && : >> "$log" && chown frr:frr /run/frr "\${log%/*}" "$log" || exit 1
if ! said=$(vtysh -C -f ${PATH} 2>&1); then
  echo "frr.conf is wrong:" >&2
  echo "$said" >&2
  exit 1
fi
start() {
  daemon=$1
  shift
  if ! said=$("$home/$daemon" -d -F ${profile} --log "file:$log" "$@" 2>&1); then
    echo "$daemon did not start" >&2
    echo "$said" >&2
    tail -n 5 "$log" >&2
    return 1
  fi
}
start zebra ${optionsOf("zebra")} || exit 1
if [ -x "$home/mgmtd" ]; then start mgmtd ${optionsOf("mgmtd")} || exit 1; fi
waiting=
for daemon in ${daemons.join(" ")}; do
  if [ ! -x "$home/$daemon" ]; then
    echo "frr.conf needs $daemon, which this image does not have" >&2
    exit 1
  fi
  start "$daemon" ${optionsOf("")} &
  waiting="$waiting $!"
done
for pid in $waiting; do wait "$pid" || exit 1; done
# its status tells of words it does not know, not of what a daemon refuses
if ! said=$(vtysh -b 2>&1) || echo "$said" | grep -q '^line [0-9]'; then
  echo "frr.conf is refused:" >&2
  echo "$said" | grep -v '^\\[' >&2
  exit 1
fi
for daemon in zebra ${daemons.join(" ")}; do
  if ! kill -0 "$(cat "/run/frr/$daemon.pid")" 2> /dev/null; then
    echo "$daemon ended when it had read frr.conf" >&2
    tail -n 5 "$log" >&2
    exit 1
  fi
done
`;
