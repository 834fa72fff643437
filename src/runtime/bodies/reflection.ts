import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import Long from 'long';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor/index.js';

// gRPC server reflection (grpc/doc/server-reflection.md): a service tells its own definitions. v1 and v1alpha differ in
// the name of their package only.

const METHODS = ['v1', 'v1alpha'].map((version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);

/** The fields that are used of the protocol's messages, by their numbers. */
const MESSAGES = `
syntax = "proto3";
message Request {
  string host = 1;
  oneof question { string file_by_filename = 3; string file_containing_symbol = 4; }
}
message Response {
  oneof answer { Files files = 4; Failure failure = 7; }
  message Files { repeated bytes file_descriptor_proto = 1; }
  message Failure { int32 error_code = 1; string error_message = 2; }
}`;

/** Definitions of one service; more is no answer. */
const MOST_FILES = 500;
const MOST_BYTES = 8 * 1024 * 1024;

type Question = { fileContainingSymbol: string } | { fileByFilename: string };

interface Reply {
  files?: { fileDescriptorProto?: Uint8Array[] };
  failure?: { errorCode?: number; errorMessage?: string };
}

/** Where a gRPC server listens. */
export interface ReflectionServer {
  host: string;
  port: number;
  tls: boolean;
}

/**
 * Asks a gRPC server for the definitions of one of its services.
 * @param service full name: `shop.Orders`
 * @throws what went wrong, for people
 */
export async function reflect(
  { host, port, tls }: ReflectionServer,
  service: string,
  deadlineMs: number,
): Promise<protobuf.Root> {
  protobuf.util.Long = Long;
  protobuf.configure();
  const types = protobuf.parse(MESSAGES, new protobuf.Root()).root;
  const deadline = Date.now() + deadlineMs;
  const client = new Client(
    `${host.includes(':') ? `[${host}]` : host}:${port}`,
    tls ? credentials.createSsl() : credentials.createInsecure(),
    {
      'grpc.enable_http_proxy': 0,
      'grpc.use_local_subchannel_pool': 1,
    },
  );
  try {
    for (const method of METHODS) {
      try {
        return rootOf(await ask(client, method, types, service, deadline));
      } catch (error) {
        if ((error as ServiceError).code !== status.UNIMPLEMENTED) throw error;
      }
    }
    throw new Error('it has no server reflection');
  } finally {
    client.close();
  }
}

/** All files that the service's definition needs, by name. */
function ask(
  client: Client,
  method: string,
  types: protobuf.Root,
  service: string,
  deadline: number,
): Promise<Map<string, Uint8Array>> {
  const request = types.lookupType('Request');
  const response = types.lookupType('Response');
  return new Promise((resolve, reject) => {
    const files = new Map<string, Uint8Array>();
    const asked = new Set<string>();
    let bytes = 0;
    let open = 0;
    const call = client.makeBidiStreamRequest<Question, Reply>(
      method,
      (question) => Buffer.from(request.encode(request.create(question)).finish()),
      (data) => response.decode(data) as Reply,
      { deadline },
    );
    const send = (question: Question) => {
      open++;
      call.write(question);
    };
    const fail = (error: Error) => {
      reject(error);
      call.cancel();
    };
    call.on('error', fail);
    call.on('end', () => reject(new Error('its server reflection ended without an answer')));
    call.on('data', (reply: Reply) => {
      open--;
      // What one file does not find may be in another, or be needed for options only.
      const found = reply.files?.fileDescriptorProto ?? [];
      if (found.length === 0 && files.size === 0) {
        fail(new Error(reply.failure?.errorMessage || `it does not know ${service}`));
        return;
      }
      for (const data of found) {
        const { name, dependency = [] } = descriptor.FileDescriptorProto.decode(data) as unknown as {
          name: string;
          dependency?: string[];
        };
        files.set(name, data);
        bytes += data.length;
        if (files.size > MOST_FILES || bytes > MOST_BYTES) {
          fail(new Error('its definitions are too large'));
          return;
        }
        for (const file of dependency) {
          if (asked.has(file)) continue;
          asked.add(file);
          if (!files.has(file)) send({ fileByFilename: file });
        }
      }
      if (open > 0) return;
      resolve(files);
      call.end();
    });
    send({ fileContainingSymbol: service });
  });
}

function rootOf(files: ReadonlyMap<string, Uint8Array>): protobuf.Root {
  const set = new protobuf.Writer();
  // FileDescriptorSet: `repeated FileDescriptorProto file = 1`.
  for (const data of files.values()) set.uint32(0x0a).bytes(data);
  const roots = protobuf.Root as unknown as { fromDescriptor(set: Uint8Array): protobuf.Root };
  return roots.fromDescriptor(set.finish()).resolveAll() as protobuf.Root;
}
