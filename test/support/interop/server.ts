import grpc from '@grpc/grpc-js';
import {
  ECHO_INITIAL,
  ECHO_TRAILING,
  type Empty,
  type InputRequest,
  type InputResponse,
  type OutputRequest,
  type OutputResponse,
  type SimpleRequest,
  type SimpleResponse,
  testService,
} from './protocol.ts';

export interface InteropServer {
  port: number;
  close(): void;
}

/** The server of the interoperability tests, by grpc-js. */
export async function startInteropServer(options: grpc.ServerOptions = {}): Promise<InteropServer> {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, ...options });
  const { UnimplementedCall: _, ...implemented } = testService;
  server.addService(implemented as grpc.ServiceDefinition, {
    EmptyCall(_call: grpc.ServerUnaryCall<Empty, Empty>, done: grpc.sendUnaryData<Empty>) {
      done(null, {});
    },
    UnaryCall(call: grpc.ServerUnaryCall<SimpleRequest, SimpleResponse>, done: grpc.sendUnaryData<SimpleResponse>) {
      const trailers = echo(call);
      const status = call.request.response_status;
      if (status) done({ code: status.code, details: status.message, metadata: trailers });
      else done(null, { payload: { body: Buffer.alloc(call.request.response_size ?? 0) } }, trailers);
    },
    async StreamingOutputCall(call: grpc.ServerWritableStream<OutputRequest, OutputResponse>) {
      const trailers = echo(call);
      await answer(call, call.request);
      call.end(trailers);
    },
    StreamingInputCall(
      call: grpc.ServerReadableStream<InputRequest, InputResponse>,
      done: grpc.sendUnaryData<InputResponse>,
    ) {
      let sum = 0;
      call.on('data', (request: InputRequest) => {
        sum += request.payload.body.length;
      });
      call.on('end', () => done(null, { aggregated_payload_size: sum }));
      call.on('error', () => {});
    },
    FullDuplexCall(call: grpc.ServerDuplexStream<OutputRequest, OutputResponse>) {
      const trailers = echo(call);
      // One after the other, and the end behind the last. (An async iterator would destroy the stream when it is done.)
      let turn = Promise.resolve();
      let failed = false;
      call.on('error', () => {});
      call.on('data', (request: OutputRequest) => {
        turn = turn.then(async () => {
          const status = request.response_status;
          if (!status) return answer(call, request);
          failed = true;
          call.emit('error', { code: status.code, details: status.message, metadata: trailers });
        });
      });
      call.on('end', () => turn.then(() => failed || call.end(trailers)));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { port, close: () => server.forceShutdown() };
}

type AnyCall = Pick<grpc.ServerUnaryCall<unknown, unknown>, 'metadata' | 'sendMetadata'>;

/** Sends the initial metadata back and returns the trailers. */
function echo(call: AnyCall): grpc.Metadata {
  const initial = call.metadata.get(ECHO_INITIAL);
  if (initial.length > 0) {
    const metadata = new grpc.Metadata();
    metadata.set(ECHO_INITIAL, initial[0]);
    call.sendMetadata(metadata);
  }
  const trailers = new grpc.Metadata();
  const trailing = call.metadata.get(ECHO_TRAILING);
  if (trailing.length > 0) trailers.set(ECHO_TRAILING, trailing[0]);
  return trailers;
}

async function answer(
  call:
    | grpc.ServerWritableStream<OutputRequest, OutputResponse>
    | grpc.ServerDuplexStream<OutputRequest, OutputResponse>,
  request: OutputRequest,
): Promise<void> {
  for (const { size, interval_us: microseconds = 0 } of request.response_parameters ?? []) {
    if (microseconds > 0) await new Promise((resolve) => setTimeout(resolve, microseconds / 1000));
    call.write({ payload: { body: Buffer.alloc(size) } });
  }
}
