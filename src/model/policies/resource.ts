import type {
  BrokerConfig,
  BrokerKind,
  PostgresBusConfig,
  PostgresConfig,
  ResourceConfig,
} from '../resource-config.ts';
import {
  closed,
  dictionary,
  either,
  isPlainObject,
  nonEmpty,
  oneOf,
  oneOrMore,
  optional,
  port,
  text,
  writeIssue,
} from '../schema-parts.ts';
import { quote } from '../show.ts';

/** What PostgreSQL takes without quotes, and within the length that it would cut a name to. */
const databaseName = text('the name of a database', (value) =>
  /^[a-z_][a-z0-9_]{0,62}$/.test(value)
    ? undefined
    : writeIssue(
        'MESH-C108',
        `${quote(value)} is not the name of a database`,
        'names are lowercase letters, digits and _, at most 63 characters',
      ),
);

const settingName = text('the name of a setting', (value) =>
  /^[a-z_]+(\.[a-z_]+)?$/.test(value)
    ? undefined
    : writeIssue('MESH-C108', `${quote(value)} is not a setting of PostgreSQL`, "like { shared_buffers: '256MB' }"),
);

const postgres = closed<PostgresConfig>('a PostgreSQL', {
  kind: oneOf<'postgres'>({ postgres: true }),
  url: optional(nonEmpty('a URL')),
  database: optional(databaseName),
  migrations: optional(oneOrMore('paths', nonEmpty('a path'))),
  port: optional(port),
  settings: optional(dictionary('settings', settingName, nonEmpty('a value'))),
});

const broker = closed<BrokerConfig>('a broker', {
  kind: oneOf<BrokerKind>({ kafka: true, nats: true, rabbitmq: true, redis: true }),
  url: nonEmpty('a URL'),
});

const postgresBus = closed<PostgresBusConfig>('a bus in PostgreSQL', {
  kind: oneOf<'postgres-bus'>({ 'postgres-bus': true }),
  database: optional(nonEmpty('the name of a resource')),
});

const unknownKind = closed<Pick<ResourceConfig, 'kind'>>('a resource', {
  kind: oneOf<ResourceConfig['kind']>({
    postgres: true,
    'postgres-bus': true,
    kafka: true,
    nats: true,
    rabbitmq: true,
    redis: true,
  }),
});

/** By its kind. */
export const resource = either<ResourceConfig>((input) => {
  const kind = isPlainObject(input) ? input.kind : undefined;
  if (kind === 'postgres') return postgres;
  if (kind === 'postgres-bus') return postgresBus;
  if (kind === 'kafka' || kind === 'nats' || kind === 'rabbitmq' || kind === 'redis') return broker;
  return unknownKind as unknown as typeof broker;
});
