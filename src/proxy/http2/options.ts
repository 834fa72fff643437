import type { AbuseLimits } from './abuse.ts';
import { DEFAULT_ABUSE_LIMITS } from './abuse.ts';
import { DEFAULT_FRAME_BYTES, MAX_FRAME_BYTES, MAX_INT31 } from './frames.ts';

export interface H2Options {
  /** What the peer may send on a stream before we consume it. */
  initialWindowBytes: number;
  /** The same for all streams together; at least the protocol's 65,535. */
  connectionWindowBytes: number;
  /** Server: requests at a time. */
  maxConcurrentStreams: number;
  /** Largest field section, counted as RFC 9113 section 6.5.2 does: characters + 32 for each field. */
  maxHeaderListBytes: number;
  /** Largest frame payload that we take. */
  maxFrameBytes: number;
  /** HPACK table, each direction. */
  headerTableBytes: number;
  /** Server: offer extended CONNECT (RFC 8441). */
  enableConnectProtocol: boolean;
  /** Bytes queued on a stream before `data` says false. */
  sendQueueBytes: number;
  /** Huffman-code what we send where that is shorter. Worth it only where bytes are dearer than time. */
  huffman: boolean;
  abuse: Partial<AbuseLimits>;
  /** A clock that never goes back, in milliseconds. */
  now: () => number;
}

export const DEFAULT_H2_OPTIONS: H2Options = {
  initialWindowBytes: 1024 * 1024,
  connectionWindowBytes: 16 * 1024 * 1024,
  maxConcurrentStreams: 1000,
  maxHeaderListBytes: 64 * 1024,
  maxFrameBytes: DEFAULT_FRAME_BYTES,
  headerTableBytes: 4096,
  enableConnectProtocol: false,
  sendQueueBytes: 256 * 1024,
  huffman: false,
  abuse: {},
  now: () => performance.now(),
};

/** Fills in the defaults. An option out of the protocol's range is a bug of the caller. */
export function completeOptions(options: Partial<H2Options>): H2Options & { abuse: AbuseLimits } {
  const all = { ...DEFAULT_H2_OPTIONS, ...options };
  within('initialWindowBytes', all.initialWindowBytes, 0, MAX_INT31);
  within('connectionWindowBytes', all.connectionWindowBytes, 0, MAX_INT31);
  within('maxConcurrentStreams', all.maxConcurrentStreams, 0, MAX_INT31);
  within('maxFrameBytes', all.maxFrameBytes, DEFAULT_FRAME_BYTES, MAX_FRAME_BYTES);
  within('headerTableBytes', all.headerTableBytes, 0, MAX_FRAME_BYTES);
  within('maxHeaderListBytes', all.maxHeaderListBytes, 0, MAX_INT31);
  return { ...all, abuse: { ...DEFAULT_ABUSE_LIMITS, ...all.abuse } };
}

function within(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} is ${value}, not an integer from ${least} to ${most}`);
  }
}
