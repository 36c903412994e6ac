import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { EXIT_STATUS, type LabError, LabErrors } from "../../base/errors.ts";
import { packageRoot } from "../../base/package-root.ts";
import { readTopology } from "../../lab/topology/read.ts";

/**
 * Each file under broken/ has its messages beside it (NAME.txt). They are written anew with
 * UPDATE_GOLDEN=1, and read by a person before they are kept.
 */
const folder = join(packageRoot, "test", "topologies", "broken");
const names = readdirSync(folder)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => name.slice(0, -".yaml".length));

async function errorsOf(file: string): Promise<readonly LabError[]> {
  try {
    await readTopology(file, { HOME: "/root" });
  } catch (error) {
    if (error instanceof LabErrors) return error.errors;
    throw error;
  }
  return [];
}

const rendered = ({ code, at, message, hint, excerpt }: LabError): string =>
  `${code} ${at?.line}:${at?.column} ${message}\n  ${hint}\n${excerpt}\n`.replaceAll(
    packageRoot,
    "PACKAGE",
  );

describe("broken topologies", () => {
  it("are many", () => {
    expect(names).to.have.length.above(60);
  });

  for (const name of names) {
    it(`${name}: says what, where and what to write`, async () => {
      const errors = await errorsOf(join(folder, `${name}.yaml`));
      expect(errors, "errors").to.not.be.empty;
      for (const { code, at, hint, excerpt } of errors) {
        expect(EXIT_STATUS[code], "exit status").to.equal(2);
        expect(hint, "hint").to.be.a("string").that.is.not.empty;
        expect(at?.line, "line").to.be.above(0);
        // The second line of an excerpt is a caret under the column.
        expect(excerpt).to.match(/^.*\n {0,95}\^+$/);
      }
      const text = errors.map(rendered).join("\n");
      const golden = join(folder, `${name}.txt`);
      if (process.env.UPDATE_GOLDEN) writeFileSync(golden, text);
      expect(text).to.equal(readFileSync(golden, "utf8"));
    });
  }
});
