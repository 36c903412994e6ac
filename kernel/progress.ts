/** How long work (a fetch, a build) tells how far it is. */

export interface Progress {
  /** For a person: `fetching user-mode-linux`, `waiting for process 4711 (building image base)`. */
  readonly what: string;
  readonly done: number;
  readonly total?: number;
  readonly unit: "bytes" | "items";
  /** How long it will still take, as far as can be told. */
  readonly leftMs?: number;
}

export type OnProgress = (progress: Progress) => void;

export interface EnsureOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}
