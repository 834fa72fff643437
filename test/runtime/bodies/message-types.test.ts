import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadPackageDefinition, Server, ServerCredentials, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import protobuf from 'protobufjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMessageTypes, type ReadyInstance } from '../../../src/runtime/bodies/message-types.ts';
import { type ReflectionServer, reflect } from '../../../src/runtime/bodies/reflection.ts';

const ORDERS = `
syntax = "proto3";
package shop;
import "common/money.proto";
import "google/protobuf/timestamp.proto";
import "google/api/annotations.proto";
service Orders { rpc Create(Order) returns (stream Reply); }
message Order { string first_name = 1; common.Money price = 2; int64 number = 3; google.protobuf.Timestamp at = 4; }
message Reply { bytes raw = 1; }`;
const MONEY = 'syntax = "proto3"; package common; message Money { int32 cents = 1; }';

const at = (port: number): ReflectionServer => ({ host: '127.0.0.1', port, tls: false });

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'mesh-types-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function write(files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(dir, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}

function typesFor(options: { files?: string[]; cwd?: string; ask?: typeof reflect; ready?: () => ReadyInstance[] }) {
  const clock = { now: 0 };
  const types = createMessageTypes({
    places: (service) =>
      service === 'orders'
        ? {
            files: (options.files ?? []).map((file) => path.join(dir, file)),
            cwd: path.join(dir, options.cwd ?? '.'),
            baseDir: dir,
          }
        : null,
    ready: options.ready ?? (() => []),
    now: () => clock.now,
    ...(options.ask === undefined ? {} : { reflect: options.ask }),
  });
  return { clock, method: (path = '/shop.Orders/Create', service = 'orders') => types.method(service, path) };
}

const order = () => {
  const { root } = protobuf.parse(
    'syntax = "proto3"; message Money { int32 cents = 1; } message Order { string first_name = 1; Money price = 2; int64 number = 3; }',
    { keepCase: true },
  );
  const type = root.lookupType('Order');
  return type.encode(type.fromObject({ first_name: 'eve', price: { cents: 5 }, number: '9007199254740993' })).finish();
};
const DECODED = { firstName: 'eve', price: { cents: 5 }, number: '9007199254740993' };

describe('types of gRPC methods', () => {
  it('come from the files that the configuration names, with their imports beside them', async () => {
    await write({ 'api/orders.proto': ORDERS, 'api/common/money.proto': MONEY });
    const { method } = typesFor({ files: ['api/orders.proto'] });
    const found = await method();
    if (!found.ok) throw new Error(found.problems[0].message);
    expect(found.value.request.name).toBe('shop.Order');
    expect(found.value.request.decode(order())).toEqual(DECODED);
    expect(found.value.response.decode(Buffer.from([0x0a, 1, 255]))).toEqual({ raw: '/w==' });
    for (const path of ['/shop.Orders/Delete', '/shop.Order/Create', '/nonsense', '/__proto__/toString'])
      expect(await method(path)).toMatchObject({ ok: false, problems: [{ code: 'MESH-B103' }] });
    expect(await method('/shop.Orders/Create', 'another')).toMatchObject({ ok: false });
  });

  it('are found beside the service, and one broken file does not hide the others', async () => {
    await write({
      'svc/proto/deep/orders.proto': ORDERS,
      'svc/proto/common/money.proto': MONEY,
      'svc/broken.proto': 'syntax = "proto3"; message {',
      'svc/proto/node_modules/x.proto': 'nonsense',
    });
    const { method } = typesFor({ cwd: 'svc' });
    expect(await method()).toMatchObject({ ok: true });
    const unknown = await method('/other.Service/X');
    expect(unknown).toMatchObject({ ok: false, problems: [{ code: 'MESH-B102' }] });
    if (!unknown.ok) expect(unknown.problems[0].message).toContain('broken.proto');
  });

  it('are read again when a file or an import changes', async () => {
    await write({ 'orders.proto': ORDERS.replace('common.Money', 'string') });
    const { clock, method } = typesFor({});
    const nameOf = async () => {
      const found = await method();
      return found.ok ? found.value.request.name : found.problems[0].code;
    };
    expect(await nameOf()).toBe('shop.Order');
    await write({ 'orders.proto': ORDERS.replace('common.Money', 'string').replaceAll(/\bOrder\b/g, 'Purchase') });
    await utimes(path.join(dir, 'orders.proto'), 1, 1);
    expect(await nameOf()).toBe('shop.Order');
    clock.now += 3_000;
    expect(await nameOf()).toBe('shop.Purchase');
    await rm(path.join(dir, 'orders.proto'));
    clock.now += 3_000;
    expect(await nameOf()).toBe('MESH-B103');
  });

  it('are asked of an instance, once until it starts anew, and of one that refuses again after a while', async () => {
    const asked: number[] = [];
    let answer: Promise<protobuf.Root> = Promise.reject(new Error('it has no server reflection'));
    let ready: ReadyInstance[] = [{ id: 'orders-1', server: at(1), startedAt: 'a' }];
    const { clock, method } = typesFor({
      ready: () => ready,
      ask: ({ port }) => {
        asked.push(port);
        return answer;
      },
    });
    const refused = await method();
    if (!refused.ok) expect(refused.problems[0].message).toContain('orders said: it has no server reflection');
    await method();
    expect(asked).toEqual([1]);
    clock.now += 31_000;
    const bare =
      'syntax = "proto3"; package shop; service Orders { rpc Create(Order) returns (Order); } message Order {}';
    answer = Promise.resolve(protobuf.parse(bare).root.resolveAll() as protobuf.Root);
    expect(await method()).toMatchObject({ ok: true });
    clock.now += 3_600_000;
    await method();
    expect(asked).toEqual([1, 1]);
    ready = [{ id: 'orders-1', server: at(2), startedAt: 'b' }];
    expect(await method()).toMatchObject({ ok: true });
    expect(asked).toEqual([1, 1, 2]);
    ready = [];
    expect(await method()).toMatchObject({ ok: false });
  });
});

describe('gRPC server reflection', () => {
  it('gives what a real server knows, with its imports', async () => {
    await write({
      'orders.proto': ORDERS.replace('import "google/api/annotations.proto";', ''),
      'common/money.proto': MONEY,
    });
    const definition = loadSync('orders.proto', { includeDirs: [dir] });
    const { shop } = loadPackageDefinition(definition) as unknown as {
      shop: { Orders: ServiceClientConstructor };
    };
    const server = new Server();
    server.addService(shop.Orders.service, { Create: () => undefined });
    new ReflectionService(definition).addToServer(server);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    try {
      await rm(dir, { recursive: true });
      const { method } = typesFor({ ready: () => [{ id: 'orders-1', server: at(port), startedAt: '' }] });
      const found = await method();
      if (!found.ok) throw new Error(found.problems[0].message);
      expect(found.value.request.decode(order())).toEqual(DECODED);
      await expect(reflect(at(port), 'no.Such', 2_000)).rejects.toThrow();
    } finally {
      server.forceShutdown();
    }
  });

  it('fails in time where there is none', async () => {
    const server = new Server();
    const port = await new Promise<number>((resolve) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_error, bound) => resolve(bound));
    });
    try {
      await expect(reflect(at(port), 'shop.Orders', 2_000)).rejects.toThrow('it has no server reflection');
    } finally {
      server.forceShutdown();
    }
    await expect(reflect(at(port), 'shop.Orders', 300)).rejects.toThrow();
  });
});
