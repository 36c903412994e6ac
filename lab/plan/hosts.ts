/**
 * /etc/hosts of each guest: every guest of the lab by name. A guest with several addresses is
 * called by the one that is nearest, so those on a subnet of one's own come first.
 */

import { contains, formatIp, networkOf } from "../../base/addresses.ts";
import type { Topology } from "../topology/topology.ts";

export interface HostLine {
  readonly address: string;
  readonly names: readonly string[];
}

export function hostTables({ guests }: Topology): Map<string, HostLine[]> {
  const all = guests.map((guest) =>
    guest.interfaces.flatMap(({ addresses }) =>
      addresses.map(({ address }) => ({
        address,
        line: { address: formatIp(address), names: [guest.name] } satisfies HostLine,
      })),
    ),
  );
  const tables = new Map<string, HostLine[]>();
  for (const guest of guests) {
    const networks = guest.interfaces.flatMap(({ addresses }) => addresses.map(networkOf));
    const lines = all.flatMap((entries) => {
      if (entries.length < 2) return entries;
      const near = entries.filter(({ address }) => networks.some((net) => contains(net, address)));
      return near.length === 0 ? entries : [...near, ...entries.filter((e) => !near.includes(e))];
    });
    tables.set(
      guest.name,
      lines.map(({ line }) => line),
    );
  }
  return tables;
}
