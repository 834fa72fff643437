/** The gRPC service of the soak: everything is given back, prefixed by the number of the message in its stream. */
import grpc from '@grpc/grpc-js';
import { SOAK_SERVICE } from '../rpc-service.ts';

const numbered = (n: number, payload: Buffer) => Buffer.concat([Buffer.from(`${n}:`), payload]);

const server = new grpc.Server();
server.addService(SOAK_SERVICE, {
  unary: (call: grpc.ServerUnaryCall<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) => {
    const trailers = new grpc.Metadata();
    trailers.set('x-id-bin', Buffer.from(call.metadata.get('x-id-bin')[0] ?? ''));
    const wanted = call.request.toString('latin1').startsWith('fail')
      ? { code: grpc.status.FAILED_PRECONDITION, details: 'as asked' }
      : null;
    callback(wanted, numbered(0, call.request), trailers);
  },
  serverStream: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
    for (let n = 0; n < 20; n++) call.write(numbered(n, call.request));
    call.end();
  },
  clientStream: (call: grpc.ServerReadableStream<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) => {
    const parts: Buffer[] = [];
    call.on('data', (part: Buffer) => parts.push(part));
    call.on('end', () => callback(null, numbered(parts.length, Buffer.concat(parts))));
    call.on('error', () => {});
  },
  bidi: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
    let n = 0;
    call.on('data', (part: Buffer) => call.write(numbered(n++, part)));
    call.on('end', () => call.end());
    call.on('error', () => {});
  },
});
server.bindAsync(`127.0.0.1:${process.env.PORT}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
});
process.on('SIGTERM', () => server.tryShutdown(() => process.exit(0)));
