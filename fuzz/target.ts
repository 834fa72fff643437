import type { Random } from './random.ts';

/** One input and what has to hold for it. */
export interface FuzzCase {
  /** What kind of case this is, for whoever reads the report. */
  readonly kind: string;
  readonly input: Buffer;
  /** Null when everything holds, else what does not. Deterministic, so that the input can be made smaller. */
  check(input: Buffer): string | null | Promise<string | null>;
  /** Parts of an input that can go one by one, before bytes do; none: bytes are all there is. */
  parts?(input: Buffer): Buffer[];
}

/** Something to throw inputs at. */
export interface FuzzTarget {
  readonly name: string;
  /** One more case; different ones for different randoms only. */
  make(random: Random): FuzzCase;
  /** Everything that the target holds ends. */
  close?(): Promise<void>;
}

/** An input that broke something. */
export interface Finding {
  readonly target: string;
  readonly kind: string;
  readonly seed: number;
  readonly caseIndex: number;
  readonly what: string;
  readonly input: Buffer;
}

export interface Outcome {
  readonly cases: number;
  readonly bytes: number;
  /** Cases of each kind. */
  readonly kinds: Readonly<Record<string, number>>;
  /** What the heap has grown by since the target was warm, after collection; null where it cannot be measured. */
  readonly heapGrowthBytes: number | null;
  readonly finding: Finding | null;
}

/** A case that takes longer than this, whatever its outcome, is a hang. */
export const CASE_DEADLINE_MS = 5_000;
