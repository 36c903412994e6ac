/**
 * `docker:REF`: the file system of a container image of the local engine (Docker's or podman's),
 * or of an archive that `uml-lab image import` read. A container is made of the image, never
 * started, exported and removed.
 */

import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type Docker from "dockerode";
import { LabError, messageOf } from "../../base/errors.ts";
import { hashOf, listRoom, type Published } from "../cache/cache.ts";
import { dockerEngine } from "../docker/engine.ts";
import type { ImageManifest } from "../images.ts";
import { type ContainerConfig, packTar, processOf } from "./from-tar.ts";
import { ANY_MEMORY, type ImageSource, slug } from "./source.ts";
import { COMPRESSION } from "./squashfs.ts";

/** The engine's image, else one that was made or imported before, the newest first. */
export async function containerImage(
  reference: string,
): Promise<ImageSource | Published<ImageManifest>> {
  const name = reference.slice("docker:".length);
  const { docker, found, hint } = await dockerEngine();
  const known = knownImage(reference);
  if (docker === undefined) {
    if (known !== undefined) return known;
    throw new LabError("NO_DOCKER", `${reference}: ${found}`, { hint });
  }
  let image: Docker.ImageInspectInfo;
  try {
    image = await docker.getImage(name).inspect();
  } catch (cause) {
    if (known !== undefined) return known;
    if ((cause as { statusCode?: number }).statusCode !== 404) {
      throw new LabError("NO_DOCKER", `${reference}: the engine says ${messageOf(cause)}`, {
        cause,
      });
    }
    throw new LabError("NO_IMAGE", `the ${found} has no image ${name}`, {
      cause,
      hint: `docker pull ${name}, or uml-lab image import FILE.tar ${name}`,
    });
  }
  return {
    entry: `docker-${slug(name)}-${hashOf({ COMPRESSION, id: image.Id, reference }, 8)}`,
    ...ANY_MEMORY,
    async build(file, builder, options) {
      const tar = join(builder.scratch, "export.tar");
      const container = await docker.createContainer({
        Image: name,
        Cmd: ["true"],
        Labels: { "uml-lab": "export" },
        NetworkDisabled: true,
      });
      try {
        const what = `exporting ${name}`;
        options.onProgress?.({ what, done: 0, unit: "bytes" });
        const stream = await container.export();
        let done = 0;
        stream.on("data", (chunk: Buffer) => {
          done += chunk.length;
          options.onProgress?.({ what, done, total: image.Size, unit: "bytes" });
        });
        await pipeline(stream, createWriteStream(tar), { signal: options.signal as AbortSignal });
      } finally {
        await container.remove({ force: true, v: true });
      }
      await packTar(tar, file, builder, options);
      return { packages: [], process: processOf(image.Config as ContainerConfig) };
    },
  };
}

function knownImage(reference: string): Published<ImageManifest> | undefined {
  return listRoom<ImageManifest>("images")
    .filter(({ manifest }) => manifest.reference === reference)
    .sort((a, b) => (a.manifest.madeAt < b.manifest.madeAt ? 1 : -1))[0];
}
