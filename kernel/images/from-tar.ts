/**
 * A container's file system from a tar archive, with the owners, devices and links that stand in
 * it: `sqfstar` packs it without root. Two kinds of archives are understood:
 *
 *     docker export      the tree itself
 *     docker save        manifest.json, a configuration, and layers that are laid over one another
 *
 * Layers are merged into one archive first: of each path the highest layer's entry stays, and what
 * a higher layer's whiteouts (`.wh.NAME`, `.wh..wh..opq`) hide goes.
 */

import {
  closeSync,
  createReadStream,
  createWriteStream,
  mkdirSync,
  openSync,
  readSync,
} from "node:fs";
import { join, posix } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { extract, type Headers, pack } from "tar-stream";
import { LabError } from "../../base/errors.ts";
import type { Builder } from "../cache/cache.ts";
import type { ImageProcess } from "../guest/spec.ts";
import { runOrFail } from "../packages/child.ts";
import type { EnsureOptions } from "../progress.ts";
import { ensureTool } from "../tools.ts";
import { COMPRESSION } from "./squashfs.ts";

/** The part of a container image's configuration that matters to a guest. */
export interface ContainerConfig {
  readonly Env?: readonly string[] | null;
  readonly WorkingDir?: string;
  readonly User?: string;
  readonly Entrypoint?: readonly string[] | string | null;
  readonly Cmd?: readonly string[] | string | null;
}

export function processOf(config: ContainerConfig): ImageProcess {
  const words = (value: readonly string[] | string | null | undefined) =>
    typeof value === "string" ? ["/bin/sh", "-c", value] : (value ?? []);
  return {
    env: Object.fromEntries(
      (config.Env ?? []).map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]),
    ),
    cwd: config.WorkingDir || "/",
    user: config.User ?? "",
    command: [...words(config.Entrypoint), ...words(config.Cmd)],
  };
}

/** Packs a flat archive. */
export async function packTar(
  tar: string,
  file: string,
  { lock }: Builder,
  options: EnsureOptions,
): Promise<void> {
  const sqfstar = await ensureTool("sqfstar", options);
  const words = [...COMPRESSION.fast, "-no-xattrs", "-no-progress", "-quiet"];
  const top = ["-root-mode", "755", "-root-uid", "0", "-root-gid", "0"];
  const times = ["-mkfs-time", "0", "-all-time", "0"];
  await runOrFail(
    [
      "sh",
      "-c",
      'tar=$1; shift; exec "$@" < "$tar"',
      "sh",
      tar,
      sqfstar,
      ...words,
      ...top,
      ...times,
      file,
    ],
    "packing the archive",
    {
      signal: options.signal,
      lockFd: lock.fd,
      env: { ...process.env, SOURCE_DATE_EPOCH: undefined },
    },
  );
}

interface SaveManifest {
  readonly Config: string;
  readonly RepoTags: readonly string[] | null;
  readonly Layers: readonly string[];
}

/** Packs an archive of either kind; the answer is what `docker save` says of its process. */
export async function packArchive(
  archive: string,
  file: string,
  builder: Builder,
  options: EnsureOptions,
): Promise<ImageProcess | undefined> {
  const plain = join(builder.scratch, "plain.tar");
  const tar = isGzip(archive) ? plain : archive;
  if (tar === plain)
    await pipeline(createReadStream(archive), createGunzip(), createWriteStream(plain));
  const manifest = await memberOf(tar, "manifest.json");
  const saved = manifest === undefined ? undefined : parseManifest(manifest);
  if (saved === undefined) {
    await packTar(tar, file, builder, options);
    return undefined;
  }
  options.onProgress?.({ what: `merging ${saved.Layers.length} layers`, done: 0, unit: "items" });
  const layers = join(builder.scratch, "layers");
  mkdirSync(layers);
  const names = new Map(saved.Layers.map((name, index) => [name, join(layers, String(index))]));
  await eachEntry(createReadStream(tar), async ({ name }, content) => {
    const to = names.get(posix.normalize(name));
    if (to === undefined) return void content.resume();
    await pipeline(content, createWriteStream(to));
  });
  const merged = join(builder.scratch, "merged.tar");
  await mergeLayers([...names.values()], merged);
  await packTar(merged, file, builder, options);
  const config = JSON.parse((await memberOf(tar, saved.Config))?.toString("utf8") ?? "{}");
  return processOf((config.config ?? {}) as ContainerConfig);
}

function parseManifest(bytes: Buffer): SaveManifest | undefined {
  try {
    const [first] = JSON.parse(bytes.toString("utf8")) as SaveManifest[];
    return Array.isArray(first?.Layers) && typeof first.Config === "string" ? first : undefined;
  } catch {
    return undefined;
  }
}

/** @param layers archives, lowest first */
export async function mergeLayers(layers: readonly string[], file: string): Promise<void> {
  /** Path to the layer whose entry counts. */
  const winners = new Map<string, number>();
  const hidden: { readonly path: string; readonly below: number; readonly opaque: boolean }[] = [];
  for (const [index, layer] of layers.entries()) {
    await eachEntry(openLayer(layer), async (header, content) => {
      content.resume();
      const path = plainPath(header.name);
      const name = posix.basename(path);
      const folder = posix.dirname(path);
      if (name === ".wh..wh..opq") hidden.push({ path: folder, below: index, opaque: true });
      else if (name.startsWith(".wh.")) {
        hidden.push({ path: posix.join(folder, name.slice(4)), below: index, opaque: false });
      } else winners.set(path, index);
    });
  }
  const isHidden = (path: string, layer: number) =>
    hidden.some(
      ({ path: gone, below, opaque }) =>
        layer < below &&
        ((!opaque && path === gone) || path.startsWith(gone === "." ? "" : `${gone}/`)),
    );
  const output = pack();
  const written = pipeline(output, createWriteStream(file));
  written.catch(() => {}); // awaited below
  for (const [index, layer] of layers.entries()) {
    await eachEntry(openLayer(layer), async (header, content) => {
      const path = plainPath(header.name);
      const counts = winners.get(path) === index && !posix.basename(path).startsWith(".wh.");
      if (path === "." || !counts || isHidden(path, index)) return void content.resume();
      const entry = output.entry({
        ...header,
        name: header.type === "directory" ? `${path}/` : path,
      });
      await pipeline(content, entry);
    });
  }
  output.finalize();
  await written;
}

/** `./usr/bin/` is `usr/bin`; nothing leads out of the tree. */
const plainPath = (name: string): string =>
  posix.normalize(`/${name}`).replace(/^\/+/, "").replace(/\/$/, "") || ".";

function openLayer(path: string): Readable {
  const bytes = createReadStream(path);
  return isGzip(path) ? bytes.pipe(createGunzip()) : bytes;
}

function isGzip(path: string): boolean {
  const fd = openSync(path, "r");
  try {
    const head = Buffer.alloc(2);
    readSync(fd, head, 0, 2, 0);
    return head[0] === 0x1f && head[1] === 0x8b;
  } finally {
    closeSync(fd);
  }
}

async function eachEntry(
  archive: Readable,
  visit: (header: Headers, content: Readable) => Promise<void>,
): Promise<void> {
  const reader = extract();
  reader.on("entry", (header, content, next) => {
    const ended = new Promise<void>((resolve) => content.once("end", resolve));
    visit(header, content as unknown as Readable)
      .then(() => ended)
      .then(() => next(), next);
  });
  try {
    await pipeline(archive, reader);
  } catch (cause) {
    throw new LabError("NO_IMAGE", "the archive can't be read: is it a tar archive?", { cause });
  }
}

async function memberOf(tar: string, name: string): Promise<Buffer | undefined> {
  let found: Buffer | undefined;
  await eachEntry(createReadStream(tar), async (header, content) => {
    if (posix.normalize(header.name) !== name || found !== undefined) return void content.resume();
    const chunks: Buffer[] = [];
    for await (const chunk of content) chunks.push(chunk as Buffer);
    found = Buffer.concat(chunks);
  });
  return found;
}
