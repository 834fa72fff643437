import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ExplainQuery, type Explanation, NO_QUERY } from '../../../src/model/explanation.ts';
import { fail, ok } from '../../../src/model/result.ts';
import { type ControlClient, connectControl } from '../../../src/runtime/control/client.ts';
import { explainQueryFromWire, explainQueryToWire } from '../../../src/runtime/control/explain-wire.ts';
import { type ControlServer, serveControl } from '../../../src/runtime/control/server.ts';
import { controlSocketPath } from '../../../src/runtime/control/socket-path.ts';
import { type FakeMesh, fakeMesh, temporaryDirectory } from './fake-mesh.ts';

const text = fc.string({ unit: 'grapheme' });
const query: fc.Arbitrary<ExplainQuery> = fc.record({
  id: text,
  from: text,
  to: text,
  method: text,
  authority: text,
  path: text,
  headers: fc.array(fc.tuple(text, text), { maxLength: 4 }),
  headersKnown: fc.boolean(),
});

describe('explaining over the control API', () => {
  let mesh: FakeMesh;
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let server: ControlServer;
  let client: ControlClient;

  beforeEach(async () => {
    mesh = fakeMesh();
    directory = await temporaryDirectory();
    const socket = controlSocketPath(directory.path);
    const served = await serveControl(mesh, socket);
    const connected = await connectControl(socket);
    if (!served.ok || !connected.ok) throw new Error('the control API does not start');
    server = served.value;
    client = connected.value;
  });
  afterEach(async () => {
    client.close();
    await server.close();
    await directory[Symbol.asyncDispose]();
  });

  it('asks what was asked', () => {
    fc.assert(
      fc.property(query, (asked) => {
        expect(explainQueryFromWire(explainQueryToWire(asked))).toEqual(asked);
      }),
    );
  });

  it('brings the answer, or why there is none', async () => {
    const answer = { version: 1, kind: 'might-happen', notes: ['ü\u0000\u2028'] } as Explanation;
    const asked: ExplainQuery[] = [];
    mesh.explain = async (given) => {
      asked.push(given);
      return given.id === '' ? ok(answer) : fail({ code: 'MESH-X101', message: 'none', hint: 'h' });
    };
    const given: ExplainQuery = {
      ...NO_QUERY,
      from: 'web',
      to: 'orders',
      path: '/x',
      headers: [['a', 'ü\u0001']],
      headersKnown: true,
    };
    expect(await client.explain(given)).toEqual({ ok: true, value: answer });
    expect(asked).toEqual([given]);
    expect(await client.explain({ ...NO_QUERY, id: 'ff' })).toEqual({
      ok: false,
      problems: [{ code: 'MESH-X101', message: 'none', hint: 'h' }],
    });
  });
});
