import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { LabErrors } from "../../base/errors.ts";
import { packageRoot } from "../../base/package-root.ts";
import { drawGraph } from "../../lab/graph/graph.ts";
import { makePlan } from "../../lab/plan/make-plan.ts";
import { parseTopology, readTopology } from "../../lab/topology/read.ts";
import { schemaFile } from "../../lab/topology/schema.ts";

const page = readFileSync(join(packageRoot, "docs", "topology-language.md"), "utf8");
const blocks = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text as string);

/** Around an example that shows only a part. */
const REST = `name: part
guests:
  alice: { interfaces: { eth0: 10.0.1.10/24 } }
  bob: { interfaces: { eth0: 10.0.1.11/24 } }
  r1..2: { forward: true, interfaces: { eth0: } }
links: [[alice:eth0, bob:eth0]]
`;

describe("docs/topology-language.md", () => {
  it("has examples", () => {
    expect(blocks).to.have.length.above(7);
  });

  for (const [i, block] of blocks.entries()) {
    it(`example ${i + 1} is as the text says`, () => {
      const text = block.includes("name:") ? block : REST + block;
      const read = () => parseTopology("/docs/x.yaml", Buffer.from(text), {});
      if (block.startsWith("# broken")) {
        expect(read).to.throw(LabErrors);
        try {
          read();
        } catch (error) {
          const { message, excerpt } = error as LabErrors;
          expect(page).to.include(`\`\`\`text\n${message}\n${excerpt}\n\`\`\``);
        }
        return;
      }
      try {
        read();
      } catch (error) {
        if (!(error instanceof LabErrors)) throw error;
        expect.fail(error.errors.map((e) => `${e.at?.line}: ${e.message}`).join("\n"));
      }
    });
  }

  it("speaks of every key of the schema", () => {
    const keys = new Set<string>();
    const walk = (value: unknown) => {
      if (typeof value !== "object" || value === null) return;
      const { properties } = value as { properties?: Record<string, unknown> };
      if (typeof properties === "object") for (const key of Object.keys(properties)) keys.add(key);
      for (const inner of Object.values(value)) walk(inner);
    };
    walk(JSON.parse(readFileSync(schemaFile, "utf8")));
    const missing = [...keys].filter((key) => !new RegExp(`\\b${key}\\b`).test(page));
    expect(missing).to.deep.equal([]);
  });
});

describe("topologies/", () => {
  const folder = join(packageRoot, "topologies");
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".yaml"))) {
    it(`${name} is right, says what it teaches, and can be drawn`, async () => {
      const text = readFileSync(join(folder, name), "utf8");
      expect(text).to.match(
        /^# yaml-language-server: \$schema=\.\/topology\.schema\.json\n#\n# [A-Z]/,
      );
      const plan = makePlan(await readTopology(join(folder, name), {}));
      expect(plan.name).to.equal(name.replace(/\.yaml$/, ""));
      expect(drawGraph(plan, "svg")).to.include("</svg>");
    });
  }
});

describe("the schema", () => {
  it("describes every key for editors", () => {
    const undescribed: string[] = [];
    const defs = JSON.parse(readFileSync(schemaFile, "utf8"));
    for (const owner of [
      defs,
      defs.$defs.guest,
      defs.$defs.switch,
      defs.$defs.link,
      defs.$defs.check,
      defs.$defs.expect,
      defs.$defs.event,
    ]) {
      for (const [key, value] of Object.entries<{ description?: string; $ref?: string }>(
        owner.properties,
      )) {
        const target = value.$ref
          ?.split("/")
          .slice(1)
          .reduce((at, part) => at[part], defs);
        if (!value.description && !target?.description) undescribed.push(key);
      }
    }
    expect(undescribed).to.deep.equal([]);
  });
});
