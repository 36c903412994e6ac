/** What a request to the fabric means to its core (control/messages.ts). */

import type { FabricAnswers, FabricRequest } from "./control/messages.ts";
import type { FabricCore } from "./fabric-core.ts";

/** All but what takes time, and has an answer of its own. */
export type AnsweredAtOnce = Exclude<FabricRequest, { readonly op: "capture-stop" }>;

/** Does what is asked. Throws FabricRequestError where it can't be done. */
export function perform(core: FabricCore, request: AnsweredAtOnce): FabricAnswers | undefined {
  switch (request.op) {
    case "add-nic":
      core.addNic(request.spec);
      return undefined;
    case "add-switch":
      core.addSwitch(request.spec);
      return undefined;
    case "add-outlet":
      core.addOutlet(request.spec);
      return undefined;
    case "remove-outlet":
      core.removeOutlet(request.outlet);
      return undefined;
    case "add-link":
      core.addLink(request.spec);
      return undefined;
    case "remove-nic":
      core.removeNic(request.nic);
      return undefined;
    case "remove-switch":
      core.removeSwitch(request.switch);
      return undefined;
    case "remove-link":
      core.removeLink(request.link);
      return undefined;
    case "set-link":
      core.setImpairments(request.link, request.impairments);
      return undefined;
    case "link-state":
      core.setLinkState(request.link, request.up);
      return undefined;
    case "capture-start":
      core.startCapture(request.spec);
      return undefined;
    case "watch-start":
      core.startWatch(request.spec);
      return undefined;
    case "watch-stop":
      core.stopWatch(request.watch);
      return undefined;
    case "trace-start":
      core.startTrace(request.spec);
      return undefined;
    case "trace-stop":
      return { trace: core.stopTrace(request.trace) };
    case "counters":
      return { counters: core.counters() };
    default:
      throw new Error(`unknown request ${JSON.stringify(request)}`);
  }
}
