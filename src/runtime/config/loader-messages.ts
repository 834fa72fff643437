import type { Problem } from '../../model/result.ts';

/** What the control plane and the loader process say to each other, over Node's IPC channel (JSON). */

export type LoaderRequest =
  | { kind: 'load'; id: number; /** Absolute. */ file: string }
  /** Answered with `alive` unless the event loop is stuck. */
  | { kind: 'ping'; id: number };

export type LoaderMessage =
  /** The bundle is ready and the user's code begins to run: the deadline counts from here. */
  | { kind: 'evaluating'; id: number }
  | { kind: 'alive'; id: number }
  | LoaderAnswer;

export interface LoaderAnswer {
  kind: 'answer';
  id: number;
  /** JSON text of what was exported, or null where there are errors among `problems`. */
  value: string | null;
  problems: Problem[];
  /** Every local file that was read, also after a failure: what to watch, and the exact text that was evaluated. */
  files: LoadedFile[];
  /** Absolute paths that would satisfy an import which was not found. */
  missing: string[];
  /** Something of the configuration is left in the process: a timer, a socket, too much memory. Use another one. */
  spent: boolean;
}

export interface LoadedFile {
  /** Absolute. */
  path: string;
  text: string;
}
