import type { MeshConfig } from './model/config.ts';

export type * from './model/config.ts';
export type * from './model/resource-config.ts';
export { kafka, nats, postgres, postgresBus, rabbitmq, redis } from './model/resource-config.ts';

/** Gives `mesh.config.ts` its types; returns what it was given. A function (also an async one) may compute the config. */
export function defineMesh<const T extends MeshConfig | (() => MeshConfig | Promise<MeshConfig>)>(config: T): T {
  return config;
}
