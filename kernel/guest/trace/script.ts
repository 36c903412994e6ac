/**
 * What a guest's shell does for a trace: an instance of tracefs of its own, so that who uses tracefs
 * in the guest finds everything as it was; the events turned on there; and their lines on standard
 * output until it is told to end. Written for the shells of busybox and Debian.
 *
 *     NO_EVENT …      the kernel has tracefs, and no such event
 *     READY           the events are on; lines of trace_pipe follow
 *     WITHOUT …       there is no tracefs, no such program …, and the script ends
 *
 * Whatever ends it (its group gets TERM from us, HUP from the supervisor where we are killed), the
 * instance goes, and with it every event.
 */

import type { EventChoice } from "./events.ts";

export const READY = "uml-lab: ready";
export const WITHOUT = "uml-lab: without ";
export const NO_EVENT = "uml-lab: no event ";
/** What `WITHOUT` says of a kernel that can't. */
export const TRACEFS = "tracefs";

/** Kilobytes of events that wait for a reader; older ones are then overwritten, and counted. */
const BUFFER_KB = 1024;

export function traceScript(choices: readonly EventChoice[]): string {
  const enabling = choices.map(
    ({ event, filter }) => `on ${event}${filter === undefined ? "" : ` '${filter}'`}`,
  );
  return `without() { echo "${WITHOUT}$1"; exit 1; }
grep -qw tracefs /proc/filesystems || without ${TRACEFS}
for program in cat mkdir rmdir mount umount; do
  command -v $program >/dev/null || without $program
done
root=/run/uml-lab/tracing.$$
instance=$root/instances/uml-lab.$$
end() {
  trap '' HUP INT TERM PIPE
  cd /
  [ ! -d $instance ] || rmdir $instance
  umount $root
  rmdir $root
  rmdir /run/uml-lab 2>/dev/null
}
trap end EXIT
trap 'exit 0' HUP INT TERM PIPE
mkdir -p $root && mount -t tracefs tracefs $root || without "the right to mount tracefs"
# of a trace whose shell was killed
for old in $root/instances/uml-lab.*; do
  [ -d "$old" ] && [ ! -d /proc/\${old##*.} ] && rmdir "$old"
done
mkdir $instance && cd $instance || without "room for one more trace"
echo 0 > tracing_on
echo ${BUFFER_KB} > buffer_size_kb
echo mono > trace_clock
echo 0 > options/irq-info
echo 0 > options/record-tgid
on() {
  [ -d events/$1 ] || { echo "${NO_EVENT}$1"; return; }
  [ -z "\${2-}" ] || echo "$2" > events/$1/filter
  echo 1 > events/$1/enable
}
{
${enabling.join("\n")}
} 2>/dev/null
echo 1 > tracing_on
echo "${READY}"
cat trace_pipe
`;
}
