/**
 * A step of the build: each process of uml-lab as one file, because a start that reads and links a
 * hundred modules costs more than what they do. The modules stay beside it, for `import "uml-lab"`.
 *
 *     dist/bundle/{main,supervisor-main,fabric-main,writer-thread}.js    the processes and the thread
 *     dist/bundle/NAME-HASH.js                                           the commands, and what they share
 *
 * All lie in one folder, so that a process finds the next by the same name as in the modules.
 */

import { copyFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { packageRoot } from "../base/package-root.ts";
import { COMPILED_SCHEMA } from "../lab/topology/compiled-schema.ts";

const dist = join(packageRoot, "dist");
const folder = join(dist, "bundle");
/** The command line's commands are parted: each run wants one of them. */
const PARTED = ["cli/main.js"];
const WHOLE = ["lab/supervisor-main.js", "net/fabric-main.js", "net/capture/writer-thread.js"];
/** Native, or never needed by a start. */
const APART = ["koffi", "dockerode", "@viz-js/viz", "ajv", "tar-stream", "esbuild"];
/** Packages in CommonJS, once in a bundle, still ask for Node's own modules with `require`. */
const REQUIRE =
  'import { createRequire as requireFor } from "node:module"; globalThis.require ??= requireFor(import.meta.url);';

rmSync(folder, { recursive: true, force: true });
for (const [entries, splitting] of [
  [PARTED, true],
  [WHOLE, false],
] as const) {
  await build({
    entryPoints: entries.map((entry) => join(dist, entry)),
    outdir: folder,
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting,
    format: "esm",
    platform: "node",
    target: "node20",
    external: APART,
    banner: { js: REQUIRE },
    logLevel: "warning",
  });
}
const schema = join(dist, "lab", "topology", COMPILED_SCHEMA);
copyFileSync(schema, join(folder, basename(schema)));
