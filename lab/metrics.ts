/**
 * A running lab's counters in Prometheus' text format (version 0.0.4): `uml-lab metrics`, and GET
 * /metrics on the socket `metrics` of the lab's folder.
 */

import { type DirectionCounters, endName } from "../net/control/messages.ts";
import type { LabStatus } from "./api.ts";

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export function metricsText(status: LabStatus): string {
  const { guests, counters } = status;
  const { links, nics, switches, captures = [] } = counters;
  const families: string[] = [];
  const family = (
    name: string,
    type: "gauge" | "counter",
    help: string,
    samples: readonly Sample[],
  ) => {
    if (samples.length === 0) return;
    const full = `uml_lab_${name}`;
    families.push(
      `# HELP ${full} ${help}`,
      `# TYPE ${full} ${type}`,
      ...samples.map(
        ([labels, value]) => `${full}${labelsText({ lab: status.lab, ...labels })} ${value}`,
      ),
    );
  };
  const known = (of: (guest: LabStatus["guests"][number]) => number | null): Sample[] =>
    guests.flatMap((guest) => {
      const value = of(guest);
      return value === null ? [] : [[{ guest: guest.name }, value] as const];
    });
  family(
    "guest_ready",
    "gauge",
    "Whether the guest is ready; its state is a label.",
    guests.map(({ name, state }) => [{ guest: name, state }, state === "ready" ? 1 : 0]),
  );
  family(
    "guest_resident_bytes",
    "gauge",
    "Memory of all its host processes.",
    known((g) => g.residentBytes),
  );
  family(
    "guest_memory_bytes",
    "gauge",
    "The guest's RAM.",
    known((g) => g.memoryBytes),
  );
  family(
    "guest_cpu_seconds_total",
    "counter",
    "CPU time of all its host processes.",
    known((g) => g.cpuSeconds),
  );

  const ways = links.flatMap(({ link, ends, directions }) =>
    directions.map((direction, i) => {
      const from = ends?.[i] === undefined ? String(i) : endName(ends[i]);
      return { labels: { link, from }, direction };
    }),
  );
  family(
    "link_up",
    "gauge",
    "Whether the cable is plugged in.",
    links.map(({ link, up }) => [{ link }, up ? 1 : 0]),
  );
  directionFamilies("link", "what left this end", ways);
  directionFamilies(
    "nic",
    "what the guest sent or was sent",
    nics.flatMap(({ nic, fromGuest, toGuest }) => [
      { labels: { nic, direction: "from_guest" }, direction: fromGuest },
      { labels: { nic, direction: "to_guest" }, direction: toGuest },
    ]),
  );
  family(
    "nic_connected",
    "gauge",
    "Whether the guest's kernel drives it.",
    nics.map(({ nic, connected }) => [{ nic }, connected ? 1 : 0]),
  );
  family(
    "nic_ring_errors_total",
    "counter",
    "Violations that ended its session.",
    nics.map(({ nic, ringErrors }) => [{ nic }, ringErrors]),
  );
  family(
    "switch_flooded_frames_total",
    "counter",
    "Frames that went to every other port.",
    switches.map((one) => [{ switch: one.switch }, one.flooded]),
  );
  family(
    "switch_addresses",
    "gauge",
    "MAC addresses that it knows.",
    switches.map((one) => [{ switch: one.switch }, one.addresses.length]),
  );
  family(
    "switch_dropped_frames_total",
    "counter",
    "Frames dropped where they came in.",
    switches.flatMap(({ switch: name, ports }) =>
      ports.flatMap(({ link, drops }) => dropSamples({ switch: name, link }, drops)),
    ),
  );
  for (const key of ["recorded", "missed"] as const) {
    family(
      `capture_${key}_frames_total`,
      "counter",
      key === "missed" ? "Frames for which the reader was too slow." : "Frames in the capture.",
      captures.map((one) => [{ capture: one.capture }, one[key]]),
    );
  }
  return `${families.join("\n")}\n`;

  function directionFamilies(
    what: string,
    help: string,
    all: readonly { readonly labels: Labels; readonly direction: DirectionCounters }[],
  ): void {
    for (const key of ["frames", "bytes"] as const) {
      family(
        `${what}_${key}_total`,
        "counter",
        `${key === "frames" ? "Frames" : "Bytes"} that passed: ${help}.`,
        all.map(({ labels, direction }) => [labels, direction[key]]),
      );
    }
    family(
      `${what}_dropped_frames_total`,
      "counter",
      `Frames that did not pass, by reason: ${help}.`,
      all.flatMap(({ labels, direction }) => dropSamples(labels, direction.drops)),
    );
  }
}

const dropSamples = (labels: Labels, drops: DirectionCounters["drops"]): Sample[] =>
  Object.entries(drops).map(([reason, frames]) => [{ ...labels, reason }, frames]);

function labelsText(labels: Labels): string {
  const escaped = (value: string) =>
    value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(",")}}`;
}
