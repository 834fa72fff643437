import path from 'node:path';
import { makeGenericClientConstructor, type ServiceClientConstructor, type ServiceDefinition } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { packageRoot } from './package-root.ts';

/** How messages look to the code: the plain objects that the wire modules describe. */
const AS_OBJECTS: protobuf.IConversionOptions = {
  longs: Number,
  enums: String,
  defaults: true,
  arrays: true,
  objects: false,
  oneofs: false,
};

/**
 * The generated client constructor of the control API; its `.service` is the server's definition. Read from
 * `proto/`, which is part of the package, so source, bundle and installed package use the same text.
 *
 * Not through `@grpc/proto-loader`, which describes every message for reflection and so takes a good part of the time that
 * a command takes to start. Here the code for a message is made when the first of its kind comes along.
 */
export function loadControlService(): ServiceClientConstructor & { service: ServiceDefinition } {
  const folder = path.join(packageRoot(), 'proto');
  const root = new protobuf.Root();
  // Files of google/protobuf/ come with the library.
  root.resolvePath = (_origin, file) => (file in protobuf.common ? file : path.join(folder, file));
  root.loadSync('mesh/control/v1/control.proto', { keepCase: false });
  const service = root.lookupService('mesh.control.v1.MeshControl');
  const definition: Record<string, ServiceDefinition[string]> = {};
  for (const { name, requestType, responseType, requestStream, responseStream } of service.methodsArray) {
    const request = codecOf(service, requestType);
    const response = codecOf(service, responseType);
    definition[name] = {
      path: `/${service.fullName.slice(1)}/${name}`,
      originalName: `${name[0].toLowerCase()}${name.slice(1)}`,
      requestStream: requestStream === true,
      responseStream: responseStream === true,
      requestSerialize: request.serialize,
      requestDeserialize: request.deserialize,
      responseSerialize: response.serialize,
      responseDeserialize: response.deserialize,
    };
  }
  return makeGenericClientConstructor(definition, 'MeshControl') as ReturnType<typeof loadControlService>;
}

/** A type is looked up, and its code made, at its first message. */
function codecOf(scope: protobuf.Service, typeName: string) {
  let type: protobuf.Type | null = null;
  const known = (): protobuf.Type => (type ??= scope.lookupType(typeName));
  return {
    serialize: (value: object): Buffer => {
      const bytes = known().encode(known().fromObject(value)).finish();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    deserialize: (bytes: Buffer): object => known().toObject(known().decode(bytes), AS_OBJECTS),
  };
}
