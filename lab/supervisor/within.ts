import { LabError } from "../../base/errors.ts";

/** The promise's outcome, TIMEOUT after so long, or the signal's reason; no timer is left behind. */
export function within<T>(promise: Promise<T>, ms: number, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      done();
      reject(new LabError("TIMEOUT", `no answer within ${ms} ms`));
    }, ms);
    const abort = () => {
      done();
      reject(signal.reason);
    };
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    };
    signal.addEventListener("abort", abort);
    promise.finally(done).then(resolve, reject);
    if (signal.aborted) abort();
  });
}
