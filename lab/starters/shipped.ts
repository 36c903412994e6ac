/** The topologies that the package ships: what each teaches, and a copy of one under another name. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { LabError } from "../../base/errors.ts";
import { packageRoot } from "../../base/package-root.ts";
import { closest } from "../../base/similar.ts";
import { SCHEMA_COMMENT } from "./schema-comment.ts";

export interface ShippedTopology {
  /** The file's name without `.yaml`, which is the lab's name. */
  readonly name: string;
  /** The first sentence of its comment. */
  readonly teaches: string;
  /** What its guests need beside `base`; `base` where they need nothing else. */
  readonly images: readonly string[];
  /** `auto`, or the kernel it cannot do without. */
  readonly kernel: string;
}

export const shippedFolder: string = join(packageRoot, "topologies");

const NAMES = readdirSync(shippedFolder)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => name.slice(0, -".yaml".length))
  .sort();

const textOf = (name: string) => readFileSync(join(shippedFolder, `${name}.yaml`), "utf8");

export const shippedTopologies = (): ShippedTopology[] =>
  NAMES.map((name) => about(name, textOf(name)));

function about(name: string, text: string): ShippedTopology {
  // All shipped files are ours (a test reads each): keys are found without reading the YAML.
  const images = [...text.matchAll(/^[^#\n]*\bimage: ([\w:-]+)/gm)].map(
    ([, image]) => image as string,
  );
  return {
    name,
    teaches: firstSentence(text),
    images: images.length === 0 ? ["base"] : [...new Set(images)],
    kernel: /^kernel: (\S+)/m.exec(text)?.[1] ?? "auto",
  };
}

/** Of the comment at the top, after the line for editors. */
function firstSentence(text: string): string {
  const lines = text.split("\n").slice(1);
  const comment = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith("#")),
  );
  const words = comment
    .map((line) => line.slice(1).trim())
    .join(" ")
    .trim();
  return /^.*?[.:](?= )/.exec(words)?.[0].replace(/[.:]$/, "") ?? words;
}

/** The text of a shipped topology, called otherwise, without its line for editors. */
export function shippedText(from: string, name: string): string {
  if (!NAMES.includes(from)) {
    const near = closest(from, NAMES);
    throw new LabError("USAGE", `there is no topology named \`${from}\``, {
      hint: `${near === undefined ? "" : `did you mean \`${near}\`? `}uml-lab init --list shows them`,
    });
  }
  const lines = textOf(from).split("\n");
  if (!lines[0]?.startsWith(SCHEMA_COMMENT)) throw new Error(`${from}.yaml names no schema`);
  return lines
    .slice(lines[1] === "#" ? 2 : 1)
    .join("\n")
    .replace(/^name: .*$/m, `name: ${name}`)
    .replaceAll(`topologies/${from}.yaml`, `${name}.yaml`);
}
