import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import { COMPILED_SCHEMA, type CompiledSchema } from "../../lab/topology/compiled-schema.ts";
import { KINDS } from "../../lab/topology/kinds.ts";
import { schemaFile } from "../../lab/topology/schema.ts";

describe("the schema as the build compiled it", () => {
  const made = createRequire(import.meta.url)(
    join(packageRoot, "dist/lab/topology", COMPILED_SCHEMA),
  ) as CompiledSchema;
  const isRight = (data: unknown) =>
    made.call((kind, text) => KINDS[kind]?.examine(text) === undefined, data);

  it("is made from the schema that is shipped", () => {
    expect(made.schema).to.equal(readFileSync(schemaFile, "utf8"));
  });

  it("knows right from wrong, also in the texts of a kind", () => {
    const lab = { name: "x", guests: { a: { memory: "64M" } } };
    expect(isRight(lab)).to.equal(true);
    expect(isRight({ ...lab, gests: {} })).to.equal(false);
    expect(isRight({ ...lab, guests: { a: { memory: "64 bananas" } } })).to.equal(false);
  });
});
