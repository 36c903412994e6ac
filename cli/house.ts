/** The engine: each call loads its part of the house when it is first needed. */

import type { Engine } from "./engine.ts";

const manager = () => import("../lab/manager.ts");
const images = () => import("../kernel/images.ts");

export const house: Engine = {
  planFile: async (file, env, options = { toRun: true }) =>
    (await import("../lab/plan/plan-file.ts")).planFile(file, env, options),
  drawGraph: async (plan, format, live) =>
    (await import("../lab/graph/graph.ts")).drawGraph(plan, format, live),
  listStarters: async () => (await import("../lab/starters/starters.ts")).listStarters(),
  writeStarter: async (starter, name, folder) =>
    (await import("../lab/starters/starters.ts")).starterText(starter, name, folder),
  upLab: async (options) => (await manager()).upLab(options),
  testLab: async (options) => (await manager()).testLab(options),
  applyLab: async (options) => (await manager()).applyLab(options),
  gradeAll: async (options) => (await import("../lab/grading/grade.ts")).gradeAll(options),
  listLabs: async () => (await manager()).listLabs(),
  findLab: async (name) => (await manager()).findLab(name),
  listDisks: async () => (await import("../lab/disks/kept.ts")).listDisks(),
  removeDisks: async (lab, guests) =>
    (await import("../lab/disks/kept.ts")).removeKept(lab, guests),
  saveKept: async (lab, file, signal) =>
    (await import("../lab/disks/kept.ts")).saveKept(lab, file, signal),
  cleanUp: async (options, onEvent) => (await manager()).cleanUp(options, onEvent),
  ensureKernel: async (choice, options) =>
    (await import("../kernel/kernels.ts")).ensureKernel(choice, options),
  buildKernel: async (options) =>
    (await import("../kernel/build/build-kernel.ts")).buildKernel(options),
  listKernels: async () => (await import("../kernel/kernels.ts")).listKernels(),
  listImages: async () => (await images()).listImages(),
  ensureImage: async (reference, options) => (await images()).ensureImage(reference, options),
  importImage: async (archive, name, options) =>
    (await images()).importImage(archive, name, options),
  removeImage: async (name) => (await images()).removeImage(name),
  ensureDebugger: async (kernel, options) =>
    (await import("../kernel/debug/gdb.ts")).ensureDebugger(kernel, options),
  examineMachine: async () => (await import("../kernel/doctor.ts")).examineMachine(),
};
