/**
 * The pictures of docs/topologies.md: `node dist/test/pictures.js` draws all of them anew. A test
 * (docs-pictures.test.ts) says which are stale.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { packageRoot } from "../base/package-root.ts";
import { drawGraph } from "../lab/graph/graph.ts";
import { makePlan } from "../lab/plan/make-plan.ts";
import { shippedFolder } from "../lab/starters/shipped.ts";
import { listStarters } from "../lab/starters/starters.ts";
import { readTopology } from "../lab/topology/read.ts";

export const PICTURES: string = join(packageRoot, "docs", "pictures");

export const pictureNames = (): string[] => listStarters().topologies.map(({ name }) => name);

export const picturePath = (name: string): string => join(PICTURES, `${name}.svg`);

export async function drawPicture(name: string): Promise<string> {
  return drawGraph(makePlan(await readTopology(join(shippedFolder, `${name}.yaml`), {})), "svg");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  mkdirSync(PICTURES, { recursive: true });
  for (const name of pictureNames()) writeFileSync(picturePath(name), await drawPicture(name));
}
