/** The streams of a command in a guest, over its channel to the agent (agent/protocol.ts). */

import { CreditedReader, CreditedWriter } from "../../base/credited-streams.ts";
import {
  encodeU32,
  FRAME,
  INPUT_WINDOW,
  MAX_PAYLOAD,
  OUTPUT_WINDOW,
  STREAM,
} from "../agent/protocol.ts";

/** Sends a frame on the channel, or nothing once the channel has ended; then calls `sent`. */
export type SendFrame = (
  type: number,
  stream: number,
  payload: Uint8Array,
  sent?: () => void,
) => void;

const NOTHING = new Uint8Array();

/** What goes to a command's standard input. */
export class ChannelInput extends CreditedWriter {
  constructor(send: SendFrame) {
    super(
      {
        data: (bytes, sent) => send(FRAME.DATA, STREAM.INPUT, bytes, sent),
        close: () => send(FRAME.CLOSE, STREAM.INPUT, NOTHING),
      },
      { credit: 0, longest: MAX_PAYLOAD },
    );
  }

  /** The channel is open: the first window may go. */
  begin(): void {
    this.grant(INPUT_WINDOW);
  }
}

/** What comes from a command's standard output or error. */
export class ChannelOutput extends CreditedReader {
  constructor(send: SendFrame, stream: number) {
    super(
      {
        credit: (bytes) => send(FRAME.CREDIT, stream, encodeU32(bytes)),
        close: () => send(FRAME.CLOSE, stream, NOTHING),
      },
      OUTPUT_WINDOW,
    );
  }
}
