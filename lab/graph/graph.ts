/** Pictures of a lab: for print and browsers, for Markdown, for Graphviz, for a terminal. */

import type { LabStatus } from "../api.ts";
import type { LabPlan } from "../plan/plan.ts";
import { drawDot } from "./dot.ts";
import { drawMermaid } from "./mermaid.ts";
import { drawingOf } from "./model.ts";
import { drawSvg } from "./svg.ts";
import { drawText } from "./text.ts";

export const GRAPH_FORMATS = ["svg", "mermaid", "dot", "text"] as const;

export type GraphFormat = (typeof GRAPH_FORMATS)[number];

const DRAW = { svg: drawSvg, mermaid: drawMermaid, dot: drawDot, text: drawText };

/** The same plan gives the same picture; of a running lab, as it is now. Ends with a newline. */
export function drawGraph(plan: LabPlan, format: GraphFormat, live?: LabStatus): string {
  return DRAW[format](drawingOf(plan, live));
}
