/** A database or broker: what `postgres()`, `kafka()` and the like return, plain data. */
export type ResourceConfig = PostgresConfig | BrokerConfig | PostgresBusConfig;

export interface PostgresConfig extends PostgresOptions {
  kind: 'postgres';
}

export interface PostgresOptions {
  /** A server that runs anyway, `postgres://user:password@host:5432/database`. Default: one that mesh runs, its data in `.mesh/data`. */
  url?: string;
  /** Name of the database. Default: the resource's, with `_` for `-`. Not beside `url`, which names it. */
  database?: string;
  /** Folders of .sql files, relative to the config file: applied in order of name before dependants start. */
  migrations?: string | string[];
  /** Fixed port of the server itself on 127.0.0.1, for tools. Default: a free one. Not beside `url`. */
  port?: number;
  /** Settings of postgresql.conf, like `{ shared_buffers: '256MB' }`. Not beside `url`. */
  settings?: Record<string, string>;
}

export type BrokerKind = 'kafka' | 'nats' | 'rabbitmq' | 'redis';

export interface BrokerConfig extends BrokerOptions {
  kind: BrokerKind;
}

export interface BrokerOptions {
  /** Where it runs: `kafka://host:9092`, `nats://host:4222`, `amqp://user:password@host:5672`, `redis://host:6379`. */
  url: string;
}

export interface PostgresBusConfig extends PostgresBusOptions {
  kind: 'postgres-bus';
}

export interface PostgresBusOptions {
  /**
   * The resource, a `postgres()`, whose database holds the bus, so that messages commit with the data they are about.
   * Default: the mesh's only one; where it has none, the bus gets a server of its own.
   */
  database?: string;
}

/** A PostgreSQL that mesh runs, or with `url` one that runs anyway. Dependants get its address as `<NAME>_URL` and, if it is their only one, `DATABASE_URL`. */
export const postgres = (options: PostgresOptions = {}): PostgresConfig => ({ kind: 'postgres', ...options });

/** Apache Kafka. Dependants get `<NAME>_URL`, `BUS_URL` and `MESH_BUS_KIND=kafka`. The broker's advertised address has to be one that they can reach. */
export const kafka = (options: BrokerOptions): BrokerConfig => ({ kind: 'kafka', ...options });

/** NATS with JetStream. Dependants get `<NAME>_URL`, `BUS_URL` and `MESH_BUS_KIND=nats`. */
export const nats = (options: BrokerOptions): BrokerConfig => ({ kind: 'nats', ...options });

/** RabbitMQ, by AMQP 0-9-1. Dependants get `<NAME>_URL`, `BUS_URL` and `MESH_BUS_KIND=rabbitmq`. */
export const rabbitmq = (options: BrokerOptions): BrokerConfig => ({ kind: 'rabbitmq', ...options });

/** Redis, or what speaks its protocol. Dependants get `<NAME>_URL`, `BUS_URL` and `MESH_BUS_KIND=redis`. */
export const redis = (options: BrokerOptions): BrokerConfig => ({ kind: 'redis', ...options });

/** A durable bus in PostgreSQL: ordered per key, at least once, consumer groups. Dependants get `BUS_URL` and `MESH_BUS_KIND=postgres`. */
export const postgresBus = (options: PostgresBusOptions = {}): PostgresBusConfig => ({
  kind: 'postgres-bus',
  ...options,
});

/** By function: for configurations that are evaluated where this package is not installed. */
export const RESOURCE_FUNCTIONS = {
  postgres: 'postgres',
  postgresBus: 'postgres-bus',
  kafka: 'kafka',
  nats: 'nats',
  rabbitmq: 'rabbitmq',
  redis: 'redis',
} as const satisfies Record<string, ResourceConfig['kind']>;
