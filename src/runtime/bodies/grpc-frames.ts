/** A message as it travels: gRPC's length-prefixed message (PROTOCOL-HTTP2.md). */
export interface GrpcFrame {
  compressed: boolean;
  /** As its head says. */
  bytes: number;
  /** What of it is there. */
  data: Uint8Array;
}

const HEAD_BYTES = 5;

/** Messages of a body or of its beginning; the last one may be cut short. Bytes that are no whole head are left out. */
export function grpcFrames(body: Uint8Array, most: number): GrpcFrame[] {
  const frames: GrpcFrame[] = [];
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  for (let at = 0; at + HEAD_BYTES <= body.length && frames.length < most; ) {
    const bytes = view.getUint32(at + 1);
    const from = at + HEAD_BYTES;
    frames.push({ compressed: body[at] === 1, bytes, data: body.subarray(from, from + bytes) });
    at = from + bytes;
  }
  return frames;
}
