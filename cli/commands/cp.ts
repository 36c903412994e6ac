/**
 * `cp FROM TO`: files into a guest and out of it, over the control channel. One file goes through
 * `cat`, a folder through `tar` at both ends, so any image with a shell will do.
 */

import { spawn } from "node:child_process";
import { createReadStream, createWriteStream, statSync } from "node:fs";
import { chmod, mkdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { LabError, messageOf } from "../../base/errors.ts";
import type { GuestProcess } from "../../kernel/guest/spec.ts";
import type { RunningLab } from "../../lab/api.ts";
import { optionValue, type Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { findLab, splitGuest } from "../targets.ts";

interface Place {
  readonly lab: string | undefined;
  /** undefined: a path of this machine. */
  readonly guest: string | undefined;
  readonly path: string;
}

export async function run(context: Context, words: Words): Promise<number> {
  const [from, to] = words.args.map(placeOf) as [Place, Place];
  if ((from.guest === undefined) === (to.guest === undefined)) {
    throw new LabError("USAGE", "one of the two must be in a guest, and only one", {
      hint: "write GUEST:/PATH, for example: uml-lab cp hosts.txt alice:/tmp/",
    });
  }
  const inside = from.guest === undefined ? to : from;
  await using lab = await findLab(context, inside.lab ?? optionValue(words, "lab"));
  const recursive = words.options.recursive === true;
  const copy = new Copy(context, lab, inside.guest as string);
  const bytes =
    from.guest === undefined
      ? await copy.into(from.path, to.path, recursive)
      : await copy.outOf(from.path, to.path, recursive);
  if (to.path !== "-") {
    await printResult(context, { from: words.args[0], to: words.args[1], bytes }, () => "");
  }
  return 0;
}

/** `alice:/etc/hosts`, `two-lans/alice:/etc/hosts`, or a path here. */
function placeOf(word: string): Place {
  const match = /^((?:[^:]*\/)?[a-z][a-z0-9-]*):(.*)$/s.exec(word);
  if (match === null || word.startsWith(".") || word.startsWith("/")) {
    return { lab: undefined, guest: undefined, path: word };
  }
  const { lab, guest } = splitGuest(match[1] as string);
  return { lab, guest, path: match[2] === "" ? "." : (match[2] as string) };
}

class Copy {
  readonly #context: Context;
  readonly #lab: RunningLab;
  readonly #guest: string;

  constructor(context: Context, lab: RunningLab, guest: string) {
    this.#context = context;
    this.#lab = lab;
    this.#guest = guest;
  }

  async into(here: string, there: string, recursive: boolean): Promise<number> {
    if (here === "-") return this.#send(this.#context.stdin, intoFile(there, "", "644"));
    const stat = statSync(here, { throwIfNoEntry: false });
    if (stat === undefined) throw noFile(here);
    if (stat.isDirectory()) {
      if (!recursive) throw needsRecursive(here);
      const tar = hostTar([
        "-C",
        dirname(resolve(here)),
        "-cf",
        "-",
        "--",
        basename(resolve(here)),
      ]);
      const into = `mkdir -p -- ${quote(there)} && exec tar -C ${quote(there)} -xf -`;
      const bytes = await this.#send(tar.stdout, into);
      await tar.done;
      return bytes;
    }
    const mode = (stat.mode & 0o777).toString(8);
    return this.#send(createReadStream(here), intoFile(there, basename(here), mode));
  }

  async outOf(there: string, here: string, recursive: boolean): Promise<number> {
    const kind = await this.#ask(
      `if [ -d ${quote(there)} ]; then echo folder; else stat -L -c %a -- ${quote(there)}; fi`,
    );
    if (kind === "folder") {
      if (!recursive) throw needsRecursive(`${this.#guest}:${there}`);
      await mkdir(here, { recursive: true });
      const tar = hostTar(["-C", here, "-xf", "-", "--no-same-owner"]);
      const parent = quote(dirname(there));
      const bytes = await this.#receive(
        `exec tar -C ${parent} -cf - -- ${quote(basename(there))}`,
        tar.stdin,
      );
      await tar.done;
      return bytes;
    }
    const read = `exec cat -- ${quote(there)}`;
    if (here === "-") return this.#receive(read, this.#context.stdout.stream, { end: false });
    const folder = statSync(here, { throwIfNoEntry: false })?.isDirectory() === true;
    const target = folder ? join(here, basename(there)) : here;
    // Beside the target first: what is interrupted leaves the old file whole.
    const part = `${target}.part-${process.pid}`;
    try {
      const bytes = await this.#receive(read, createWriteStream(part, { mode: 0o600 }));
      await chmod(part, Number.parseInt(kind, 8) & 0o777);
      await rename(part, target);
      return bytes;
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  }

  #start(script: string): { process: GuestProcess; over: Promise<string> } {
    const process = this.#lab.exec(this.#guest, { command: ["/bin/sh", "-c", script] });
    process.stdin.on("error", () => {});
    const errors: Buffer[] = [];
    process.stderr.on("data", (chunk: Buffer) => errors.push(chunk));
    const over = process.exit.then(({ code, signal }) => {
      const said = Buffer.concat(errors).toString("utf8").trim();
      if (code === 0 && signal === undefined) return said;
      throw new LabError(
        "GUEST_FAILED",
        `${this.#guest}: ${said || `the copy ended with ${code}`}`,
      );
    });
    over.catch(() => {});
    return { process, over };
  }

  async #send(source: Readable, script: string): Promise<number> {
    const { process, over } = this.#start(script);
    process.stdout.resume();
    return this.#carry(source, process.stdin, over);
  }

  async #receive(script: string, target: Writable, options?: { end: boolean }): Promise<number> {
    const { process, over } = this.#start(script);
    process.stdin.end();
    return this.#carry(process.stdout, target, over, options);
  }

  /** The guest's own words tell more than a broken pipe. */
  async #carry(
    source: Readable,
    target: Writable,
    over: Promise<string>,
    options: { end?: boolean } = {},
  ): Promise<number> {
    let bytes = 0;
    source.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    try {
      await pipeline(source, target, options as { end: boolean });
    } catch (cause) {
      await over;
      throw new LabError("GUEST_FAILED", `the copy broke off: ${messageOf(cause)}`, { cause });
    }
    await over;
    return bytes;
  }

  async #ask(script: string): Promise<string> {
    const { process, over } = this.#start(script);
    process.stdin.end();
    let answer = "";
    process.stdout.on("data", (chunk: Buffer) => {
      answer += chunk.toString("utf8");
    });
    await over;
    return answer.trim();
  }
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

/** Into the file, or into the folder of that name; whole or not at all. */
function intoFile(path: string, name: string, mode: string): string {
  return [
    `to=${quote(path)}`,
    `if [ -d "$to" ]; then to="$to"/${quote(name)}; fi`,
    'part="$to.part$$"',
    `cat > "$part" && chmod ${mode} "$part" && mv -f "$part" "$to" || { rm -f "$part"; exit 1; }`,
  ].join("\n");
}

function hostTar(args: readonly string[]) {
  const child = spawn("tar", args, { stdio: ["pipe", "pipe", "inherit"] });
  const done = new Promise<void>((resolvePromise, reject) => {
    child.once("error", (cause) =>
      reject(new LabError("NO_TOOL", `tar can't be run: ${messageOf(cause)}`, { cause })),
    );
    child.once("close", (code) =>
      code === 0
        ? resolvePromise()
        : reject(new LabError("FILE_UNREADABLE", `tar ended with status ${code}`)),
    );
  });
  done.catch(() => {});
  return { stdin: child.stdin, stdout: child.stdout, done };
}

const noFile = (path: string): LabError =>
  new LabError("FILE_UNREADABLE", `${path}: there is no such file`);

const needsRecursive = (path: string): LabError =>
  new LabError("USAGE", `${path} is a folder`, { hint: "copy it with -r" });
