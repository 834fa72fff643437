import { Flag, FrameType, MAX_INT31, PREFACE, readInt31, readUint32 } from '../src/proxy/http2/frames.ts';
import { HpackDecoder } from '../src/proxy/http2/hpack/decoder.ts';
import type { ParsedFrame } from '../test/support/h2-raw.ts';

/** Frames of a byte sequence as far as they are whole, and how many bytes are left over. */
export function readFrames(bytes: Buffer): { frames: ParsedFrame[]; rest: number } {
  const frames: ParsedFrame[] = [];
  let p = bytes.subarray(0, PREFACE.length).equals(PREFACE) ? PREFACE.length : 0;
  while (p + 9 <= bytes.length) {
    const length = bytes.readUIntBE(p, 3);
    if (p + 9 + length > bytes.length) break;
    frames.push({
      type: bytes[p + 3],
      flags: bytes[p + 4],
      streamId: readInt31(bytes, p + 5),
      payload: bytes.subarray(p + 9, p + 9 + length),
    });
    p += 9 + length;
  }
  return { frames, rest: bytes.length - p };
}

/** What a peer has allowed by all that it ever said: an upper bound, whatever the order. */
interface Allowance {
  frameBytes: number;
  connectionWindow: number;
  initialWindow: number;
  streamCredit: Map<number, number>;
}

function allowance(input: Buffer): Allowance {
  const given: Allowance = {
    frameBytes: 16_384,
    connectionWindow: 65_535,
    initialWindow: 65_535,
    streamCredit: new Map(),
  };
  for (const { type, streamId, payload } of readFrames(input).frames) {
    if (type === FrameType.Settings) {
      for (let p = 0; p + 6 <= payload.length; p += 6) {
        const [id, value] = [payload.readUInt16BE(p), readUint32(payload, p + 2)];
        if (id === 4) given.initialWindow = Math.max(given.initialWindow, value);
        if (id === 5) given.frameBytes = Math.max(given.frameBytes, value);
      }
    } else if (type === FrameType.WindowUpdate && payload.length === 4) {
      const increment = readInt31(payload, 0);
      if (streamId === 0) given.connectionWindow += increment;
      else given.streamCredit.set(streamId, (given.streamCredit.get(streamId) ?? 0) + increment);
    }
  }
  return given;
}

/**
 * Whether what one end wrote is legal HTTP/2, given all that it was sent: frames whole and of allowed size, header blocks
 * that decode and are not interrupted, nothing on a stream behind its end, no more DATA than the windows, nothing behind a
 * GOAWAY with an error. Null, or what is wrong.
 */
export function auditOutput(output: Buffer, input: Buffer, isServer: boolean): string | null {
  const { frames, rest } = readFrames(output);
  if (rest !== 0) return `the output ends in the middle of a frame`;
  const given = allowance(input);
  const decoder = new HpackDecoder(1 << 20);
  const ended = new Set<number>();
  const sent = new Map<number, number>();
  const announced = new Map<number, number>();
  let sentInAll = 0;
  let continued = 0;
  let failed = false;
  let blockParts: Buffer[] = [];
  let blockEnds = false;
  for (let i = 0; i < frames.length; i++) {
    const { type, flags, streamId, payload } = frames[i];
    const where = `frame ${i} of the output (type ${type}, stream ${streamId})`;
    if (i === 0 && type !== FrameType.Settings) return 'the output does not begin with SETTINGS';
    if (failed) return `${where} follows a GOAWAY with an error`;
    if (payload.length > given.frameBytes) return `${where} is larger than the peer takes`;
    if (continued !== 0 && (type !== FrameType.Continuation || streamId !== continued))
      return `${where} interrupts a header block`;
    switch (type) {
      case FrameType.Data:
      case FrameType.Headers:
        if (streamId % 2 === 0) return `${where} is on a stream that nobody opened`;
        if (ended.has(streamId)) return `${where} follows the end of its stream`;
        if (type === FrameType.Data) {
          const bytes = (sent.get(streamId) ?? 0) + payload.length;
          sent.set(streamId, bytes);
          sentInAll += payload.length;
          if (bytes > given.initialWindow + (given.streamCredit.get(streamId) ?? 0))
            return `${where} is beyond the window of its stream`;
          if (sentInAll > given.connectionWindow) return `${where} is beyond the window of the connection`;
          if ((flags & Flag.EndStream) !== 0) ended.add(streamId);
        } else {
          blockEnds = (flags & Flag.EndStream) !== 0;
          blockParts = [payload];
          continued = streamId;
        }
        break;
      case FrameType.Continuation:
        if (continued === 0) return `${where} continues nothing`;
        blockParts.push(payload);
        break;
      case FrameType.RstStream:
        ended.add(streamId);
        break;
      case FrameType.WindowUpdate: {
        const increment = readInt31(payload, 0);
        if (increment === 0) return `${where} has no increment`;
        const window = (announced.get(streamId) ?? 0) + increment;
        announced.set(streamId, window);
        break;
      }
      case FrameType.Goaway:
        failed = readUint32(payload, 4) !== 0;
        break;
      case FrameType.PushPromise:
        return `${where} was never asked for`;
    }
    if (continued !== 0 && (flags & Flag.EndHeaders) !== 0) {
      const block = Buffer.concat(blockParts);
      const names: string[] = [];
      const sink = { field: (_kind: number, name: string) => void names.push(name) };
      if (!decoder.decode(block, 0, block.length, sink))
        return `${where} completes a header block that does not decode`;
      if (isServer && names[0] !== ':status' && names.some((name) => name.startsWith(':')))
        return `${where} has ${names.join()}`;
      if (blockEnds) ended.add(continued);
      continued = 0;
    }
  }
  return continued === 0 ? null : 'the output ends in the middle of a header block';
}

/** DATA bytes that an end was sent (whole frames, padding included) and has not given back to the connection's window. */
export function unreturnedBytes(input: Buffer, output: Buffer, ownWindowBytes: number): number {
  let received = 0;
  for (const { type, payload } of readFrames(input).frames) if (type === FrameType.Data) received += payload.length;
  let returned = 0;
  for (const { type, streamId, payload } of readFrames(output).frames) {
    if (type === FrameType.WindowUpdate && streamId === 0) returned += readInt31(payload, 0);
  }
  // The first WINDOW_UPDATE widens the protocol's window to our own.
  return received - (returned - Math.max(0, Math.min(ownWindowBytes, MAX_INT31) - 65_535));
}
