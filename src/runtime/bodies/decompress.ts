import zlib from 'node:zlib';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';

export interface Decompressed {
  data: Uint8Array;
  /** There was more than `mostBytes`, or the compressed data ended early. */
  cut: boolean;
}

/** What Node's streams of this kind have in common; zstd came with 22.15 and is looked for at run time. */
interface Decoder extends NodeJS.ReadWriteStream {
  destroy(error?: Error): unknown;
}
type DecoderFactory = () => Decoder;

const zstd = (zlib as { createZstdDecompress?: DecoderFactory }).createZstdDecompress;

/** deflate is zlib's format (RFC 9110, section 8.4.1.2), but some send the bare one (RFC 1951). */
const DECODERS: Readonly<Record<string, (data: Uint8Array) => Decoder>> = {
  gzip: () => zlib.createGunzip(),
  'x-gzip': () => zlib.createGunzip(),
  deflate: (data) => ((data[0] & 0x0f) === 8 ? zlib.createInflate() : zlib.createInflateRaw()),
  br: () => zlib.createBrotliDecompress(),
  ...(zstd === undefined ? {} : { zstd: () => zstd() }),
};

/**
 * Undoes `content-encoding`, of data that may end early. No more than `mostBytes` are ever made of it.
 * @returns MESH-B104 for what is damaged from its beginning or compressed in an unknown way
 */
export async function decompress(data: Uint8Array, encoding: string, mostBytes: number): Promise<Result<Decompressed>> {
  let current: Decompressed = { data, cut: false };
  // The last one named was applied last.
  const names = encoding
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  for (const name of names.filter((each) => each !== '' && each !== 'identity').reverse()) {
    if (current.data.length === 0) return ok(current);
    const decoder = Object.hasOwn(DECODERS, name) ? DECODERS[name](current.data) : null;
    if (decoder === null) {
      return fail(
        problem('MESH-B104', {
          message: `compressed with ${JSON.stringify(name.slice(0, 32))}, which this Node does not decompress`,
        }),
      );
    }
    const next = await inflate(decoder, current.data, mostBytes);
    if (next === null) return fail(problem('MESH-B104', { message: `no valid ${name}` }));
    current = { data: next.data, cut: next.cut || current.cut };
  }
  return ok(current);
}

/** Null: nothing could be read. */
function inflate(decoder: Decoder, data: Uint8Array, mostBytes: number): Promise<Decompressed | null> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    const settle = (cut: boolean, failed = false) => {
      decoder.destroy();
      resolve(failed && bytes === 0 ? null : { data: Buffer.concat(chunks).subarray(0, mostBytes), cut });
    };
    decoder.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > mostBytes) settle(true);
    });
    decoder.on('end', () => settle(false));
    // What ends early is an error to the decoder; what it had made of it until then is good.
    decoder.on('error', () => settle(true, true));
    decoder.end(data);
  });
}
