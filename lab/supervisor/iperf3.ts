/**
 * Streams that iperf3 makes, of the guests' own images: what arrived is what its server tells its
 * client. Frames are counted by the fabric, as of every flow.
 *
 *     server: iperf3 -s -1 -p 5201        "Server listening on 5201"
 *     client: iperf3 -c ADDRESS -p 5201 -t 10 -J -> end.sum_received.bits_per_second
 */

import { LabError } from "../../base/errors.ts";
import type { RunningGuest } from "../../kernel/guest/spec.ts";
import type { FlowPlan } from "../plan/event-plan.ts";
import { within } from "./within.ts";

const SIGKILL = 9;
/** Beyond its own time: for its start, and for the numbers that the two exchange. */
const SPARE_MS = 25_000;
/** Bytes of a datagram: fits an Ethernet frame with room for tunnels, as the other flows' do. */
const DATAGRAM_BYTES = 1200;

/** Throws GUEST_FAILED where a guest's image has no iperf3. */
export async function checkIperf3(guest: RunningGuest, signal: AbortSignal): Promise<void> {
  const command = ["sh", "-c", "command -v iperf3"];
  const { code } = await within(guest.run({ command }, { signal }), SPARE_MS, signal);
  if (code === 0) return;
  throw new LabError(
    "GUEST_FAILED",
    `${guest.name} has no iperf3: give it \`image: router\` (or \`packages:[iperf3]\`), or write \`tcp\` or \`udp\` instead of \`iperf3\``,
  );
}

/** Sends one stream and answers how much arrived, bits a second. Throws GUEST_FAILED, TIMEOUT. */
export async function runIperf3(
  from: RunningGuest,
  to: RunningGuest,
  { protocol, address, port, forMs, rateBitsPerSec }: FlowPlan,
  signal: AbortSignal,
): Promise<number> {
  const server = to.exec({ command: ["iperf3", "-s", "-1", "--forceflush", "-p", String(port)] });
  server.stdin.end();
  server.exit.catch(() => {}); // that of its client is awaited
  try {
    await within(listening(server), SPARE_MS, signal);
    const words = ["-c", address, "-p", String(port), "-t", String(Math.round(forMs / 1000)), "-J"];
    if (protocol === "udp") words.push("-u", "-l", String(DATAGRAM_BYTES));
    if (rateBitsPerSec > 0) words.push("-b", String(Math.round(rateBitsPerSec)));
    const client = from.run({ command: ["iperf3", ...words] }, { signal });
    const { stdout, stderr } = await within(client, forMs + SPARE_MS, signal);
    const rate = parseIperf3(stdout);
    if (typeof rate === "number") return rate;
    throw new LabError("GUEST_FAILED", `${from.name}'s iperf3: ${rate ?? stderr.trim()}`);
  } finally {
    server.kill(SIGKILL);
  }
}

/** Bits a second that arrived, or what iperf3 says went wrong; undefined where it says nothing. */
export function parseIperf3(json: string): number | string | undefined {
  try {
    const { error, end } = JSON.parse(json);
    if (typeof error === "string") return error;
    const rate = (end?.sum_received ?? end?.sum)?.bits_per_second;
    return typeof rate === "number" ? rate : undefined;
  } catch {
    return undefined;
  }
}

/** Resolves when the server listens; rejects where it ended without. */
function listening({ stdout, stderr, exit }: ReturnType<RunningGuest["exec"]>): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    for (const stream of [stdout, stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (chunk: string) => {
        said += chunk;
        if (/^Server listening on /m.test(said)) resolve();
      });
    }
    exit.then(
      () => reject(new LabError("GUEST_FAILED", `no iperf3 server: ${said.trim()}`)),
      reject,
    );
  });
}
