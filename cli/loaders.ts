/** Where each command's code is; loaded when it runs, and no other with it. */

import type { RunCommand } from "./command.ts";

type Loader = () => Promise<{ readonly run: RunCommand }>;

const lifecycle =
  (verb: "restart" | "stop" | "start" | "pause" | "resume"): Loader =>
  async () =>
    (await import("./commands/lifecycle.ts")).commandFor(verb);

const linkState =
  (up: boolean): Loader =>
  async () =>
    (await import("./commands/link-state.ts")).commandFor(up);

export const LOADERS: Readonly<Record<string, Loader>> = {
  up: () => import("./commands/up.ts"),
  down: () => import("./commands/down.ts"),
  test: () => import("./commands/test.ts"),
  apply: () => import("./commands/apply.ts"),
  verify: () => import("./commands/verify.ts"),
  grade: () => import("./commands/grade.ts"),
  init: () => import("./commands/init.ts"),
  check: () => import("./commands/check.ts"),
  plan: () => import("./commands/plan.ts"),
  graph: () => import("./commands/graph.ts"),
  ps: () => import("./commands/ps.ts"),
  status: () => import("./commands/status.ts"),
  metrics: () => import("./commands/metrics.ts"),
  exec: () => import("./commands/exec.ts"),
  debug: () => import("./commands/debug.ts"),
  trace: () => import("./commands/trace.ts"),
  shell: () => import("./commands/shell.ts"),
  console: () => import("./commands/console.ts"),
  logs: () => import("./commands/logs.ts"),
  cp: () => import("./commands/cp.ts"),
  restart: lifecycle("restart"),
  stop: lifecycle("stop"),
  start: lifecycle("start"),
  pause: lifecycle("pause"),
  resume: lifecycle("resume"),
  save: () => import("./commands/save.ts"),
  "disk list": () => import("./commands/disk-list.ts"),
  "disk remove": () => import("./commands/disk-remove.ts"),
  inspect: () => import("./commands/inspect.ts"),
  explain: () => import("./commands/explain.ts"),
  capture: () => import("./commands/capture.ts"),
  "link show": () => import("./commands/link-show.ts"),
  "link set": () => import("./commands/link-set.ts"),
  "link add": () => import("./commands/link-add.ts"),
  "link remove": () => import("./commands/link-remove.ts"),
  "link up": linkState(true),
  "link down": linkState(false),
  "kernel list": () => import("./commands/kernel-list.ts"),
  "kernel fetch": () => import("./commands/kernel-fetch.ts"),
  "kernel build": () => import("./commands/kernel-build.ts"),
  "image list": () => import("./commands/image-list.ts"),
  "image show": () => import("./commands/image-show.ts"),
  "image build": () => import("./commands/image-build.ts"),
  "image import": () => import("./commands/image-import.ts"),
  "image remove": () => import("./commands/image-remove.ts"),
  "ssh-config": () => import("./commands/ssh-config.ts"),
  "ssh-proxy": () => import("./commands/ssh-proxy.ts"),
  clean: () => import("./commands/clean.ts"),
  doctor: () => import("./commands/doctor.ts"),
  completion: () => import("./commands/completion.ts"),
  "complete-words": () => import("./commands/complete-words.ts"),
  help: () => import("./commands/help.ts"),
};

export async function loadCommand(name: string): Promise<{ readonly run: RunCommand }> {
  const loader = LOADERS[name];
  if (loader === undefined) throw new Error(`the command \`${name}\` has no code`);
  return loader();
}
