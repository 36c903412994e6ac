/**
 * A host of its own for tests that plug one into a lab: a network namespace with a /dev/net/tun that
 * everybody may open, as distributions have it. The machine's own network is not touched.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { expect } from "chai";
import { type Outcome, outcomeOf } from "./house.ts";
import { NOBODY } from "./nobody.ts";

const isRoot = process.getuid?.() === 0;

const SETUP = `
ip link set lo up || exit
${isRoot ? "mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 || exit" : ""}
ip tuntap add dev probe mode tap && ip link del probe || exit
echo ready
exec cat
`;

export class OtherHost implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** A text where this machine has none: why not. */
  static async begin(): Promise<OtherHost | string> {
    const words = isRoot ? ["-n", "-m"] : ["-U", "-r", "-n"];
    const child = spawn("unshare", [...words, "sh", "-c", SETUP], { stdio: "pipe" });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => {
      said += chunk;
    });
    const begun = await new Promise<boolean>((resolve) => {
      child.stdout.once("data", () => resolve(true));
      child.once("error", (error) => {
        said += error.message;
        resolve(false);
      });
      child.once("close", () => resolve(false));
    });
    return begun ? new OtherHost(child) : said.trim().replaceAll("\n", "; ");
  }

  /** Words that run those behind them there. @param nobody as an unprivileged user. */
  enter({ nobody = false } = {}): string[] {
    const pid = String(this.#child.pid);
    if (!isRoot) return ["nsenter", "-t", pid, "-U", "-n", "--preserve-credentials"];
    const user = nobody ? ["-S", String(NOBODY), "-G", String(NOBODY)] : [];
    return ["nsenter", "-t", pid, "-n", "-m", ...user];
  }

  start(...words: readonly string[]): ChildProcess {
    const [program, ...rest] = [...this.enter(), ...words];
    return spawn(program as string, rest, { stdio: "pipe" });
  }

  run(...words: readonly string[]): Promise<Outcome> {
    return outcomeOf(this.start(...words));
  }

  /** A shell command there; asserts that it succeeds and answers its output. */
  async sh(command: string): Promise<string> {
    const { status, stdout, stderr } = await this.run("sh", "-c", command);
    expect(status, `${command}: ${stdout}${stderr}`).to.equal(0);
    return stdout;
  }

  /** A JavaScript program there, in one expression that may await; its result. */
  async js<T>(program: string): Promise<T> {
    const text = `const answer = await (${program}); console.log(JSON.stringify(answer));`;
    const words = [process.execPath, "--input-type=module", "-e", text];
    const { status, stdout, stderr } = await this.run(...words);
    expect(status, `${program}: ${stdout}${stderr}`).to.equal(0);
    return JSON.parse(stdout) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const over = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.stdin?.end();
    await over;
  }
}
