import path from 'node:path';
import { loadPackageDefinition, type ServiceClientConstructor, type ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { packageRoot } from './package-root.ts';

interface ControlPackage {
  mesh: { control: { v1: { MeshControl: ServiceClientConstructor & { service: ServiceDefinition } } } };
}

/**
 * The generated client constructor of the control API; its `.service` is the server's definition. Read from
 * `proto/`, which is part of the package, so source, bundle and installed package use the same text.
 */
export function loadControlService(): ServiceClientConstructor & { service: ServiceDefinition } {
  const definition = loadSync('mesh/control/v1/control.proto', {
    includeDirs: [path.join(packageRoot(), 'proto')],
    longs: Number,
    enums: String,
    defaults: true,
    arrays: true,
    objects: false,
    oneofs: false,
  });
  return (loadPackageDefinition(definition) as unknown as ControlPackage).mesh.control.v1.MeshControl;
}
