import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { packageRoot } from "../../base/package-root.ts";
import { listStarters } from "../../lab/starters/starters.ts";
import { drawPicture, PICTURES, pictureNames, picturePath } from "../pictures.ts";

describe("docs/topologies.md", () => {
  const page = readFileSync(join(packageRoot, "docs", "topologies.md"), "utf8");

  for (const { name, images, kernel } of listStarters().topologies) {
    it(`shows ${name}, with what it needs, in a picture that is not stale`, async () => {
      const section = page.split(/^## /m).find((text) => text.startsWith(`${name}\n`)) ?? "";
      expect(section, "it has a section").to.include(`(../topologies/${name}.yaml)`);
      expect(section).to.include(`](pictures/${name}.svg)`);
      for (const image of images) expect(section).to.include(`\`${image}\``);
      expect(section.includes("lean kernel")).to.equal(kernel === "lean");
      expect(existsSync(picturePath(name)), `no picture: ${ANEW}`).to.equal(true);
      const drawn = readFileSync(picturePath(name), "utf8");
      expect(drawn === (await drawPicture(name)), `the picture is stale: ${ANEW}`).to.equal(true);
    });
  }

  it("has no picture of what is not there", () => {
    expect(readdirSync(PICTURES).sort()).to.deep.equal(
      pictureNames()
        .map((name) => `${name}.svg`)
        .sort(),
    );
  });
});

const ANEW = "npm run build && node dist/test/pictures.js";
