/**
 * Echo requests from a guest's own kernel: one `fping` for all its targets, both families at once.
 *
 * fping(8): with `-C 1` one line a target on standard error, `ADDRESS : 0.42` (milliseconds) or
 * `ADDRESS : -`; before them, what came back instead of an answer: `ICMP Host Unreachable from
 * 10.0.1.1 for ICMP Echo sent to 10.0.2.10`. It ends as soon as every target answered.
 *
 * It takes an answer from whatever address, and says so: ` [<- 10.0.1.1]`, in old versions (5.1) on
 * standard error, where it can't be told of which target it speaks. With `-q` it would not say it.
 */

import type { ExecResult } from "../../kernel/guest/spec.ts";

export interface Probe {
  /** null: no answer came in time. */
  readonly rttMs: number | null;
  /** What came back instead, and from whom; or what the guest's own kernel said. */
  readonly refusal: { readonly text: string; readonly from: string | null } | null;
  /** The answer came from this address and not from the one that was asked: it is none. */
  readonly otherAddress?: string;
}

/** Beyond this many the targets go over standard input. */
const MOST_ARGUMENTS = 400;

export function fpingRequest(
  addresses: readonly string[],
  timeoutMs: number,
): { readonly command: readonly string[]; readonly input: Uint8Array | undefined } {
  const options = ["fping", "-C", "1", "-i", "1", "-t", String(timeoutMs)];
  return addresses.length <= MOST_ARGUMENTS
    ? { command: [...options, ...addresses], input: undefined }
    : { command: [...options, "-f", "-"], input: Buffer.from(`${addresses.join("\n")}\n`) };
}

const ANSWER = /^(\S+)\s+: (?:(\d+(?:\.\d+)?)|-)$/;
const REFUSAL = /^(ICMP\S* .+?) from (\S+) for ICMP\S* Echo sent to (\S+)/;
const LOCAL = /^(\S+): error while sending ping: (.+)$/;

/** An answer on standard output, from elsewhere: `10.0.2.10 : [0], 64 bytes, 1.27 ms (…) [<- 10.0.1.1]`. */
const FROM_ELSEWHERE = /^(\S+)\s+: \[\d+\], .*\[<- (\S+)\]/;
const SOMETHING_FROM_ELSEWHERE = / \[<- (\S+)\]/;

/** Whether some answer came from elsewhere, and only asking each target alone tells which. */
export const asksForSingles = (addresses: readonly string[], { stderr }: ExecResult): boolean =>
  addresses.length > 1 && SOMETHING_FROM_ELSEWHERE.test(stderr);

/** A probe for every address asked for; what the output does not speak of got no answer. */
export function parseFping(
  addresses: readonly string[],
  { stdout, stderr, code }: ExecResult,
): Map<string, Probe> {
  const silent: Probe = { rttMs: null, refusal: null };
  const probes = new Map<string, Probe>(addresses.map((address) => [address, silent]));
  const put = (address: string | undefined, change: Partial<Probe>) => {
    const known = address === undefined ? undefined : probes.get(address);
    if (address !== undefined && known !== undefined) probes.set(address, { ...known, ...change });
  };
  for (const line of `${stderr}\n${stdout}`.split("\n")) {
    const answer = ANSWER.exec(line);
    if (answer !== null) {
      if (answer[2] !== undefined) put(answer[1], { rttMs: Number(answer[2]) });
      continue;
    }
    const refusal = REFUSAL.exec(line);
    if (refusal !== null) {
      put(refusal[3], {
        refusal: { text: refusal[1] as string, from: refusal[2] as string },
      });
      continue;
    }
    const elsewhere = FROM_ELSEWHERE.exec(line);
    if (elsewhere !== null) {
      put(elsewhere[1], { rttMs: null, otherAddress: elsewhere[2] as string });
      continue;
    }
    const local = LOCAL.exec(line);
    if (local !== null) put(local[1], { refusal: { text: local[2] as string, from: null } });
  }
  const [only] = addresses;
  const other = SOMETHING_FROM_ELSEWHERE.exec(stderr)?.[1];
  if (addresses.length === 1 && other !== undefined) {
    put(only, { rttMs: null, otherAddress: other });
  }
  if (code > 2) {
    // Not "some did not answer" but "it could not do its work" (or there is no fping).
    const text = stderr.trim().split("\n").at(-1) || `fping ended with status ${code}`;
    for (const [address, probe] of probes) {
      if (probe.rttMs === null && probe.refusal === null) {
        probes.set(address, { rttMs: null, refusal: { text, from: null } });
      }
    }
  }
  return probes;
}

/** The round trips of one target (`-C COUNT -q`), milliseconds; null for each that came to nothing. */
export function parseFpingSeries(address: string, output: string): (number | null)[] {
  const line = output.split("\n").find((one) => one.trimStart().startsWith(`${address} `));
  const values = line?.slice(line.indexOf(":", line.indexOf(address) + address.length) + 1);
  return (values ?? "")
    .trim()
    .split(/\s+/)
    .filter((word) => word !== "")
    .map((word) => (word === "-" ? null : Number(word)));
}
