/**
 * A channel's streams between a lab and who speaks to it: a slow terminal holds back the command in
 * the guest, and nothing is gathered in between.
 */

import { CreditedReader, CreditedWriter } from "../../base/credited-streams.ts";
import { FRAME } from "./frames.ts";

export const WINDOW = 256 << 10;
const MAX_DATA = 64 << 10;
const NOTHING = Buffer.alloc(0);

export type SendFrame = (kind: number, payload: Uint8Array, sent?: () => void) => void;

/** What goes to the other side. */
export class OutgoingStream extends CreditedWriter {
  constructor(send: SendFrame) {
    super(
      {
        data: (bytes, sent) => send(FRAME.DATA, bytes, sent),
        close: () => send(FRAME.CLOSE, NOTHING),
      },
      { credit: WINDOW, longest: MAX_DATA },
    );
  }
}

/** What comes from the other side. */
export class IncomingStream extends CreditedReader {
  constructor(send: SendFrame) {
    super(
      {
        credit: (bytes) => {
          const payload = Buffer.allocUnsafe(4);
          payload.writeUInt32LE(bytes);
          send(FRAME.CREDIT, payload);
        },
        close: () => send(FRAME.CLOSE, NOTHING),
      },
      WINDOW,
    );
  }
}
