import grpc from '@grpc/grpc-js';
import type { Random } from '../../fuzz/random.ts';
import type { Ending, Load, LoadClient } from '../load.ts';
import { SOAK_SERVICE } from '../rpc-service.ts';

const bytes = (value: Buffer): Buffer => value;
const DEADLINE_MS = 20_000;

type Kind = keyof typeof SOAK_SERVICE;

function client(port: number, kinds: readonly Kind[], random: Random): LoadClient {
  const connection = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  return {
    once: () => call(connection, random.pick(kinds), random),
    close: () => connection.close(),
  };
}

/** One call, checked message by message; a few are cancelled. */
function call(connection: grpc.Client, kind: Kind, random: Random): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const { path } = SOAK_SERVICE[kind];
    const payload = random.bytes(random.below(random.chance(20) ? 50_000 : 200));
    const cancels = random.chance(4);
    const fails = kind === 'unary' && random.chance(5);
    const message = fails ? Buffer.concat([Buffer.from('fail'), payload]) : payload;
    const metadata = new grpc.Metadata();
    const id = random.bytes(12);
    metadata.set('x-id-bin', id);
    const options = { deadline: Date.now() + DEADLINE_MS };
    const is = (got: Buffer | undefined, n: number, expected: Buffer) =>
      got?.equals(Buffer.concat([Buffer.from(`${n}:`), expected])) === true;
    const end = (error: grpc.ServiceError | null, right: boolean, count = true) => {
      if (cancels && (error === null || error.code === grpc.status.CANCELLED)) resolve('aborted');
      else if (fails && error?.code === grpc.status.FAILED_PRECONDITION && error.details === 'as asked')
        resolve('done');
      else if (error !== null)
        reject(new Error(`${kind}: ${grpc.status[error.code]} ${error.details.replaceAll(/\d+/g, 'N').slice(0, 60)}`));
      else if (!right) reject(new Error(`${kind}: wrong content`));
      else if (!count) reject(new Error(`${kind}: messages are missing`));
      else resolve('done');
    };
    let cancel = () => {};
    if (kind === 'unary' || kind === 'clientStream') {
      let trailersRight = true;
      const done = (n: number, expected: Buffer) => (error: grpc.ServiceError | null, value?: Buffer) => {
        // The trailers' event comes behind this one.
        setImmediate(() => end(error, is(value, n, expected) && trailersRight));
      };
      if (kind === 'unary') {
        const unary = connection.makeUnaryRequest(path, bytes, bytes, message, metadata, options, done(0, message));
        unary.on('status', (status) => {
          trailersRight =
            fails ||
            status.code !== 0 ||
            (status.metadata.get('x-id-bin')[0] as Buffer | undefined)?.equals(id) === true;
        });
        cancel = () => unary.cancel();
      } else {
        const count = 1 + random.below(20);
        const stream = connection.makeClientStreamRequest(
          path,
          bytes,
          bytes,
          metadata,
          options,
          done(count, Buffer.concat(Array(count).fill(message))),
        );
        for (let i = 0; i < count; i++) stream.write(message);
        stream.end();
        cancel = () => stream.cancel();
      }
    } else {
      let n = 0;
      let right = true;
      const expected = kind === 'serverStream' ? 20 : 1 + random.below(20);
      const bidi = kind === 'bidi' ? connection.makeBidiStreamRequest(path, bytes, bytes, metadata, options) : null;
      const stream = bidi ?? connection.makeServerStreamRequest(path, bytes, bytes, message, metadata, options);
      stream.on('data', (got: Buffer) => {
        right &&= is(got, n++, message);
        // Ping-pong: the next goes when the last has come back.
        if (n < expected) bidi?.write(message);
        else bidi?.end();
      });
      stream.on('error', () => {});
      stream.on('status', (status: grpc.StatusObject) =>
        end(status.code === 0 ? null : Object.assign(new Error(), status, { name: '' }), right, n === expected),
      );
      bidi?.write(message);
      cancel = () => stream.cancel();
    }
    if (cancels) setTimeout(cancel, random.below(6));
  });
}

export const RPC_LOADS: readonly Load[] = [
  {
    name: 'gRPC unary',
    service: 'rpc',
    clients: 4,
    long: false,
    connect: (ports, random) => client(ports.rpc, ['unary'], random),
  },
  {
    name: 'gRPC streams',
    service: 'rpc',
    clients: 3,
    long: false,
    connect: (ports, random) => client(ports.rpc, ['serverStream', 'clientStream', 'bidi'], random),
  },
];
