import type { Problem } from '../../model/result.ts';

/** What the control plane and the loader process say to each other, over Node's IPC channel (JSON). */

export type LoaderRequest =
  | { kind: 'load'; id: number /** Absolute. */; file: string }
  /** Answered with `alive` unless the event loop is stuck. */
  | { kind: 'ping'; id: number };

export type LoaderMessage = LoaderInputs | { kind: 'alive'; id: number } | LoaderAnswer;

/** Bundling is over; if it succeeded, the user's code begins to run, and the deadline counts from here. */
export interface LoaderInputs {
  kind: 'inputs';
  id: number;
  /** Every local file that was read, also after a failure: what to watch, and the exact text that is evaluated. */
  files: LoadedFile[];
  /** Absolute paths that would satisfy an import which was not found. */
  missing: string[];
}

export interface LoaderAnswer {
  kind: 'answer';
  id: number;
  /** JSON text of what was exported, or null where there are errors among `problems`. */
  value: string | null;
  problems: Problem[];
  /** Something of the configuration is left in the process: a timer, a socket, too much memory. Use another one. */
  spent: boolean;
}

interface LoadedFile {
  /** Absolute. */
  path: string;
  text: string;
}
