/**
 * `service` and `systemctl` for scripts that call them: they run the packages' own init scripts and
 * say so where they can't do what was asked. There is no systemd in a guest, and none is feigned.
 */

import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SERVICE = `#!/bin/sh
# service NAME start|stop|restart|reload|status …: runs /etc/init.d/NAME
if [ "$1" = --status-all ]; then
  for script in /etc/init.d/*; do
    "$script" status > /dev/null 2>&1 && mark=+ || mark=-
    echo " [ $mark ]  \${script##*/}"
  done
  exit 0
fi
if [ $# -lt 2 ]; then
  echo "usage: service NAME start|stop|restart|reload|status" >&2
  exit 2
fi
name=\${1%.service}
shift
if [ ! -x "/etc/init.d/$name" ]; then
  echo "service: there is no /etc/init.d/$name" >&2
  exit 4
fi
exec env -i PATH="$PATH" TERM="\${TERM:-dumb}" HOME="\${HOME:-/root}" "/etc/init.d/$name" "$@"
`;

const SYSTEMCTL = `#!/bin/sh
# systemctl on a guest without systemd: the verbs that init scripts can do. See service(8).
quiet=
now=
while :; do
  case $1 in
    -q | --quiet) quiet=1 ;;
    --now) now=1 ;;
    --no-pager | --no-block | -l | --full | --no-ask-password) ;;
    -*)
      echo "systemctl: $1 is not understood: this guest runs no systemd" >&2
      exit 1
      ;;
    *) break ;;
  esac
  shift
done
verb=$1
[ $# -gt 0 ] && shift
[ "$1" = --now ] && now=1 && shift
case $verb in
  daemon-reload | reset-failed) exit 0 ;;
  start | stop | restart | reload | try-restart | force-reload | status) ;;
  reload-or-restart) verb=restart ;;
  is-active) ;;
  enable | disable)
    # nothing starts at boot by itself: the topology says what runs
    [ -n "$now" ] || exit 0
    [ "$verb" = enable ] && verb=start || verb=stop
    ;;
  *)
    echo "systemctl: '$verb' can't be done: this guest runs no systemd (start, stop, restart," \\
      "reload, status, is-active, enable --now, disable --now can)" >&2
    exit 1
    ;;
esac
if [ $# = 0 ]; then
  echo "systemctl $verb: name a service" >&2
  exit 1
fi
status=0
for unit; do
  if [ "$verb" = is-active ]; then
    if service "$unit" status > /dev/null 2>&1; then state=active; else state=inactive status=3; fi
    [ -n "$quiet" ] || echo "$state"
  else
    service "$unit" "$verb" || status=$?
  fi
done
exit "$status"
`;

export const STAND_INS = [
  ["usr/sbin/service", SERVICE],
  ["usr/bin/systemctl", SYSTEMCTL],
] as const;

export function putStandIns(root: string): void {
  mkdirSync(join(root, "usr/sbin"), { recursive: true });
  for (const [name, text] of STAND_INS) {
    const path = join(root, name);
    rmSync(path, { force: true });
    writeFileSync(path, text);
    chmodSync(path, 0o755);
  }
}
