/**
 * `npm run fuzz`: a million cases of a hostile guest, from the seed that it prints.
 *
 *     npm run fuzz -- --cases 1000000 --seed 42     the same cases again
 */

import { parseArgs } from "node:util";
import { HostileFuzz } from "./hostile-guest.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "1000000" },
    seed: { type: "string", default: String(Date.now() % 2 ** 32) },
  },
});
const [cases, seed] = [Number(values.cases), Number(values.seed)];
console.log(`fuzz: ${cases} cases from the seed ${seed}`);
using fuzz = new HostileFuzz(seed);
const startedAt = performance.now();
let toldAt = startedAt;
for (let done = 1; done <= cases; done++) {
  try {
    fuzz.step();
  } catch (error) {
    console.error(`fuzz: case ${done} of the seed ${seed} broke it`);
    throw error;
  }
  const now = performance.now();
  if (now - toldAt < 10_000 && done < cases) continue;
  toldAt = now;
  const { thrownOut, passed } = fuzz.totals;
  const rate = Math.round(done / ((now - startedAt) / 1000));
  console.log(
    `fuzz: ${done} cases, ${rate} a second; the hostile guest was thrown out ${thrownOut} times, ` +
      `${passed} of its frames passed`,
  );
}
