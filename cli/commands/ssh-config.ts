/** `ssh-config [LAB]`: OpenSSH configuration for a lab's guests. */

import { join } from "node:path";
import { packageRoot } from "../../base/package-root.ts";
import type { Words } from "../command.ts";
import { type Context, printResult } from "../context.ts";
import { findLab } from "../targets.ts";

export async function run(context: Context, words: Words): Promise<number> {
  await using lab = await findLab(context, words.args[0]);
  const { guests } = await lab.status();
  const names = guests.map((guest) => guest.name);
  const proxy = proxyCommand();
  await printResult(context, { lab: lab.name, guests: names, proxyCommand: proxy }, () =>
    sshConfig(lab.name, names, proxy),
  );
  return 0;
}

/** Both files by their paths, so that it works in any folder and whatever PATH says. */
function proxyCommand(): string {
  const quoted = (path: string) => (/^[\w./-]+$/.test(path) ? path : `"${path}"`);
  return `${quoted(process.execPath)} ${quoted(join(packageRoot, "bin/uml-lab.js"))} ssh-proxy`;
}

export function sshConfig(lab: string, guests: readonly string[], proxy: string): string {
  const hosts = guests.map(
    (guest) => `
Host ${guest} ${guest}.${lab}
  ProxyCommand ${proxy} ${lab}/${guest}
`,
  );
  return `# The guests of the lab ${lab}, as \`uml-lab ssh-config ${lab}\` wrote them.
${hosts.join("")}
Host ${guests.flatMap((guest) => [guest, `${guest}.${lab}`]).join(" ")}
  User root
  # The way there is a private socket of this machine; a guest's keys are made at its boot.
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
`;
}
