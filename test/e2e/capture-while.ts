/** A capture beside other work. */

import { expect } from "chai";
import { eventually, type House, outcomeOf } from "./house.ts";

/** Captures while `work` goes on; answers what the command says at the end. */
export async function captureWhile(
  house: House,
  words: readonly string[],
  work: () => Promise<unknown>,
): Promise<{ readonly recorded: number; readonly missed: number }> {
  const child = house.start("capture", ...words);
  let text = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    text += chunk;
  });
  const outcome = outcomeOf(child);
  await eventually("a capture", async () => text.includes("recording to"));
  await work().finally(() => child.kill("SIGINT"));
  const { status, stdout, stderr } = await outcome;
  expect(status, stdout + stderr).to.equal(0);
  const counts = /(\d+) frames recorded, (\d+) missed/.exec(stdout);
  return { recorded: Number(counts?.[1]), missed: Number(counts?.[2]) };
}
