/** A step of the build: the JSON Schema as code that tells right from wrong. See `schema.ts`. */

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { _ } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import standalone from "ajv/dist/standalone/index.js";
import { COMPILED_SCHEMA } from "./compiled-schema.ts";
import { schemaFile } from "./schema.ts";

const text = readFileSync(schemaFile, "utf8");
const ajv = new Ajv2020({
  passContext: true,
  messages: false,
  allowUnionTypes: true,
  code: { source: true },
});
ajv.addKeyword({
  keyword: "x-kind",
  type: "string",
  schemaType: "string",
  code: (context) => context.fail(_`!this(${context.schema}, ${context.data})`),
});
ajv.addKeyword({ keyword: "x-expected", schemaType: "string" });
const code = standalone.default(ajv, ajv.compile(JSON.parse(text)));
const path = fileURLToPath(new URL(COMPILED_SCHEMA, import.meta.url));
writeFileSync(path, `${code}\nmodule.exports.schema = ${JSON.stringify(text)};\n`);
