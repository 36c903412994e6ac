/** Chooses where packages are fetched: here if apt is here, else in a container, else nowhere. */

import { dockerEngine } from "../docker/engine.ts";
import type { EnsureOptions } from "../progress.ts";
import { haveApt } from "./apt.ts";
import { noApt } from "./archives.ts";
import { type Place, thisMachine } from "./place.ts";

/** @param missing what is needed, for the error: `there is no kernel in the cache`. */
export async function openPlace(missing: string, options: EnsureOptions): Promise<Place> {
  if (haveApt()) return thisMachine;
  const { docker } = await dockerEngine();
  if (docker === undefined) throw noApt(missing);
  const { startContainerPlace } = await import("../docker/container-place.ts");
  return await startContainerPlace(docker, options);
}
