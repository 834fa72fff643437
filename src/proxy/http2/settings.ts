import type { OutBuffer } from '../out-buffer.ts';
import { FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR } from './error-codes.ts';
import {
  DEFAULT_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  MAX_FRAME_BYTES,
  MAX_INT31,
  putFrameHeader,
  putInt32,
  readUint32,
} from './frames.ts';

/** RFC 9113 section 6.5.2 and RFC 8441 section 3. */
export const Setting = {
  HeaderTableSize: 1,
  EnablePush: 2,
  MaxConcurrentStreams: 3,
  InitialWindowSize: 4,
  MaxFrameSize: 5,
  MaxHeaderListSize: 6,
  EnableConnectProtocol: 8,
} as const;

/** What the peer has told us; before it has, the protocol's defaults. */
export interface PeerSettings {
  headerTableBytes: number;
  /** Infinity until the peer sets a limit. */
  maxConcurrentStreams: number;
  initialWindowBytes: number;
  maxFrameBytes: number;
  /** Advisory; Infinity until set. */
  maxHeaderListBytes: number;
  enableConnectProtocol: boolean;
}

export function defaultPeerSettings(): PeerSettings {
  return {
    headerTableBytes: 4096,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowBytes: DEFAULT_WINDOW_BYTES,
    maxFrameBytes: DEFAULT_FRAME_BYTES,
    maxHeaderListBytes: Number.POSITIVE_INFINITY,
    enableConnectProtocol: false,
  };
}

export function writeSettings(out: OutBuffer, values: readonly (readonly [id: number, value: number])[]): void {
  const length = values.length * 6;
  let at = out.reserve(FRAME_HEADER_BYTES + length);
  putFrameHeader(out.buf, at, length, FrameType.Settings, 0, 0);
  at += FRAME_HEADER_BYTES;
  for (const [id, value] of values) {
    out.buf[at] = id >>> 8;
    out.buf[at + 1] = id;
    putInt32(out.buf, at + 2, value);
    at += 6;
  }
  out.n = at;
}

export function writeSettingsAck(out: OutBuffer): void {
  const at = out.reserve(FRAME_HEADER_BYTES);
  putFrameHeader(out.buf, at, 0, FrameType.Settings, Flag.Ack, 0);
  out.n = at + FRAME_HEADER_BYTES;
}

/**
 * Applies the payload of a SETTINGS frame, in order. Returns the error code that the connection must die of, or 0.
 * `fromServer`: the peer is a server, which must not offer to be pushed to (section 6.5.2).
 */
export function readSettings(
  buf: Uint8Array,
  start: number,
  end: number,
  peer: PeerSettings,
  fromServer: boolean,
): number {
  if ((end - start) % 6 !== 0) return FRAME_SIZE_ERROR;
  for (let p = start; p < end; p += 6) {
    const value = readUint32(buf, p + 2);
    switch ((buf[p] << 8) | buf[p + 1]) {
      case Setting.HeaderTableSize:
        peer.headerTableBytes = value;
        break;
      case Setting.EnablePush:
        if (value > 1 || (fromServer && value === 1)) return PROTOCOL_ERROR;
        break;
      case Setting.MaxConcurrentStreams:
        peer.maxConcurrentStreams = value;
        break;
      case Setting.InitialWindowSize:
        if (value > MAX_INT31) return FLOW_CONTROL_ERROR;
        peer.initialWindowBytes = value;
        break;
      case Setting.MaxFrameSize:
        if (value < DEFAULT_FRAME_BYTES || value > MAX_FRAME_BYTES) return PROTOCOL_ERROR;
        peer.maxFrameBytes = value;
        break;
      case Setting.MaxHeaderListSize:
        peer.maxHeaderListBytes = value;
        break;
      case Setting.EnableConnectProtocol:
        // RFC 8441 section 3: never taken back.
        if (value > 1 || (value === 0 && peer.enableConnectProtocol)) return PROTOCOL_ERROR;
        peer.enableConnectProtocol = value === 1;
        break;
      default:
        // Section 6.5.2: unknown settings are ignored.
        break;
    }
  }
  return NO_ERROR;
}
