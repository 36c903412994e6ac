/**
 * Progress on a terminal: what is done scrolls by as lines with a tick, what goes on is a block
 * below them that is redrawn in place.
 *
 *     ✔ checked two-lans.yaml: 3 guests, 2 switches, 4 links          12 ms
 *     ⠹ fetching user-mode-linux   ████████░░░░░░░░  12.3 of 35.1 MB
 *     ⠹ booting  2 of 3 ready                                         0.4 s
 *       ● alice  ● bob  ◑ r1
 *
 * `frame.ts` draws the block from the state here; this file owns the clock and the cursor.
 */

import type { LabEvent } from "../../lab/api.ts";
import type { ProgressView } from "../context.ts";
import type { Output } from "../output.ts";
import { whenLeavingTerminal } from "../terminal.ts";
import { drawBlock, drawDoneStep, type LiveState } from "./frame.ts";

const FRAMES_PER_SECOND = 12;
const HIDE_CURSOR = "\x1b[?25l";
const SHOW_CURSOR = "\x1b[?25h";

export class LiveProgress implements ProgressView {
  readonly #output: Output;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  readonly #showCursor: () => void;
  readonly #state: LiveState = { step: undefined, work: new Map(), guests: new Map() };
  #drawn = 0;
  #tick = 0;
  #over = false;

  constructor(output: Output, now: () => number) {
    this.#output = output;
    this.#now = now;
    void output.write(HIDE_CURSOR);
    this.#showCursor = whenLeavingTerminal(() => void output.stream.write(SHOW_CURSOR));
    this.#timer = setInterval(() => {
      this.#tick++;
      this.#draw("");
    }, 1000 / FRAMES_PER_SECOND);
    this.#timer.unref();
  }

  readonly onEvent = (event: LabEvent): void => {
    if (this.#over) return;
    const state = this.#state;
    if (event.type === "step") {
      this.#finishStep();
      state.step = { name: event.step, detail: event.detail, since: this.#now() };
      state.reach = undefined;
    } else if (event.type === "progress") {
      if (event.total !== undefined && event.done >= event.total) state.work.delete(event.what);
      else state.work.set(event.what, event);
    } else if (event.type === "guest") {
      state.guests.set(event.guest, event.state);
    } else if (event.type === "reachability") {
      state.reach = event;
    } else if (event.type === "notice") {
      this.#draw(`${this.#output.style.yellow("note:")} ${event.message}\n`);
    }
  };

  readonly onProgress: ProgressView["onProgress"] = (progress) =>
    this.onEvent({ type: "progress", ...progress });

  /** The step that went on is done; the block goes, the lines above it stay. */
  [Symbol.dispose](): void {
    if (this.#over) return;
    clearInterval(this.#timer);
    this.#finishStep();
    this.#over = true;
    this.#draw("");
    this.#showCursor();
  }

  #finishStep(): void {
    const { step } = this.#state;
    if (step === undefined) return;
    this.#state.step = undefined;
    this.#draw(drawDoneStep(step, this.#state, this.#now(), this.#output));
  }

  /** Writes `above` as lasting lines, and the block anew below them, in one write. */
  #draw(above: string): void {
    const erase = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A\r\x1b[J`;
    const lines = this.#over ? [] : drawBlock(this.#state, this.#now(), this.#tick, this.#output);
    const block = lines.map((line) => `${line}\n`).join("");
    if (erase === "" && above === "" && block === "") return;
    this.#drawn = lines.length;
    void this.#output.write(erase + above + block);
  }
}
