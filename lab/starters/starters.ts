/** New topology files: a copy of one that the package ships, or a shape of some size. */

import { schemaComment } from "./schema-comment.ts";
import { SHAPES } from "./shapes.ts";
import { type ShippedTopology, shippedText, shippedTopologies } from "./shipped.ts";

export type Starter = { readonly from: string } | { readonly shape: string; readonly size: string };

export interface Starters {
  readonly topologies: readonly ShippedTopology[];
  readonly shapes: readonly { name: string; size: string; summary: string }[];
}

export const listStarters = (): Starters => ({
  topologies: shippedTopologies(),
  shapes: SHAPES.map(({ name, size, summary }) => ({ name, size, summary })),
});

/** The text of a topology file that is to stand in `folder`. Throws USAGE for what there is not. */
export function starterText(starter: Starter, name: string, folder: string): string {
  return `${schemaComment(folder)}\n#\n${bodyOf(starter, name)}`;
}

function bodyOf(starter: Starter, name: string): string {
  if ("from" in starter) return shippedText(starter.from, name);
  const shape = SHAPES.find((each) => each.name === starter.shape);
  if (shape === undefined) throw new Error(`no shape is called ${starter.shape}`);
  return shape.write(starter.size, name);
}
