/** The comment by which editors find the schema of topology files. */

import { join, relative } from "node:path";
import { packageRoot } from "../../base/package-root.ts";

export const SCHEMA_COMMENT = "# yaml-language-server: $schema=";

/** For a file in `folder`: a relative path where the package stands in or under it, else absolute. */
export function schemaComment(folder: string): string {
  const schema = join(packageRoot, "topologies", "topology.schema.json");
  const path = relative(folder, schema);
  return `${SCHEMA_COMMENT}${path.startsWith("..") ? schema : `./${path}`}`;
}
