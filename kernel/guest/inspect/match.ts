/**
 * Which host process runs which guest process: the one that has, at the same virtual address, the
 * same page of the guest's RAM. Pages of a stack belong to one guest process only, so one
 * page that agrees is proof, and one that differs is proof of the contrary.
 *
 *     guest: /proc/PID/pagemap   stack page at V is physical page P
 *     host:  /proc/PID/maps      V is mapped to the RAM file at place P
 *
 * Processes that share an address space (a parent in vfork and its child) share the host process.
 */

import type { GuestProcess } from "./guest-view.ts";
import type { RamMapping } from "./host-view.ts";

/** Guest pid to host pid; guest processes without one (kernel threads) are absent. */
export function matchProcesses(
  guests: readonly Pick<GuestProcess, "pid" | "pages">[],
  hosts: ReadonlyMap<number, readonly RamMapping[]>,
): Map<number, number> {
  const found = new Map<number, number>();
  for (const { pid, pages } of guests) {
    const same = [...hosts].filter(([, mappings]) => agrees(pages, mappings));
    if (same.length === 1) found.set(pid, (same[0] as [number, unknown])[0]);
  }
  return found;
}

function agrees(pages: GuestProcess["pages"], mappings: readonly RamMapping[]): boolean {
  let agreeing = 0;
  for (const { virtual, physical } of pages) {
    const mapping = mappings.find(({ start, end }) => virtual >= start && virtual < end);
    if (mapping === undefined) continue; // not touched since the host process was made
    if (mapping.physical + (virtual - mapping.start) !== physical) return false;
    agreeing++;
  }
  return agreeing > 0;
}
