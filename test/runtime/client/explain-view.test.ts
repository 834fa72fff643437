import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Explanation } from '../../../src/model/explanation.ts';
import { renderExplanation } from '../../../src/runtime/client/explain-view.ts';
import { terminalText, writeResponse } from '../../../src/runtime/client/response-output.ts';
import type { IncomingResponse } from '../../../src/runtime/client/send-request.ts';
import { createStyle } from '../../../src/runtime/client/style.ts';

const view = { style: createStyle(false), cwd: '/shop', columns: null };

/** With this text wherever somebody else's words can stand. */
function explanation(text: string): Explanation {
  const rule = {
    position: 2,
    route: text,
    source: '/shop/mesh.config.ts:12',
    match: text,
    differences: [{ part: 'header' as const, name: text, wanted: text, found: text, certain: true, text }],
  };
  return {
    version: 1,
    kind: 'happened',
    config: { version: 1, loadedAt: '', reloadedSince: false },
    request: {
      from: text,
      instance: text,
      to: text,
      protocol: 'http',
      method: text,
      authority: text,
      path: text,
      headers: [[text, text]],
      headersKnown: true,
    },
    name: { name: text, service: 'orders', by: 'host', text },
    listener: { name: 'web-1/outbound', kind: 'outbound', workload: 'web-1', port: 1, tls: false },
    tables: [{ table: text, rules: 3, earlier: [rule], omitted: 0, taken: { ...rule, differences: [] } }],
    backend: {
      service: 'orders',
      subset: 'v1',
      why: 'the only one of the route',
      candidates: [{ service: 'orders', subset: 'v1', weight: 1, share: 1 }],
    },
    endpoints: {
      service: 'orders',
      subset: 'v1',
      balancer: text,
      live: true,
      waiting: 1,
      endpoints: [
        {
          instance: 'orders-1',
          subset: 'v1',
          address: '127.0.0.1:1',
          app: '127.0.0.1:2',
          state: 'ready',
          choice: 'picked',
          chance: null,
          why: text,
          inFlight: 0,
          requests: 0,
          failures: 0,
        },
      ],
    },
    identity: { presented: text, validUntil: null, expected: text },
    policy: {
      authorization: 'none',
      filters: [{ table: text, route: text, filter: 'rewrite', on: 'request', changes: [text] }],
    },
    tls: { mode: 'mesh', serverName: 'orders', text: 'mutual TLS' },
    timeouts: [
      { name: 'request', ms: 5_000, origin: { level: 'route', path: text, source: '/shop/mesh.config.ts:13' } },
    ],
    retries: null,
    reply: { status: 503, flag: 'UH', text },
    outcome: {
      traceId: 'a'.repeat(32),
      id: 'b'.repeat(16),
      time: '2026-01-01T00:00:00.000Z',
      durationMs: 3,
      status: 200,
      grpcStatus: null,
      flags: [{ flag: text, meaning: text }],
      retries: 1,
      timing: [{ part: text, ms: 3 }],
      requestBytes: 1,
      responseBytes: 2,
      tls: true,
      peer: text,
      sampled: true,
      others: [{ id: 'c'.repeat(16), text }],
    },
    notes: [text],
  };
}

describe('an explanation on a terminal', () => {
  it('names files from where the user stands, and each decision once', () => {
    const lines = renderExplanation(explanation('word'), view);
    const labels = lines.map((line) => line.slice(0, 11).trim()).filter((label) => label !== '');
    expect(labels.slice(1)).toEqual([
      'name',
      'listener',
      'route',
      'backend',
      'endpoint',
      'identity',
      'policy',
      'TLS',
      'timeouts',
      'retries',
      'answer',
      'happened',
      'note',
    ]);
    expect(lines.join('\n')).toContain('word  mesh.config.ts:12');
    expect(lines.join('\n')).toContain('route: word  mesh.config.ts:13');
  });

  it('has nothing in it that the terminal would obey, whatever paths and headers say', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const line of renderExplanation(explanation(`\u001b]0;x\u0007${text}\n`), view))
          expect(line).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e]/u);
      }),
    );
  });
});

describe('a response', () => {
  const response = (body: Buffer[]): IncomingResponse => ({
    status: 200,
    reason: 'O\u001b[2JK',
    headers: [['x-evil', '\u009b2Jx']],
    body: (async function* () {
      yield* body;
    })(),
    trailers: () => [['x-after', '1']],
    headAfterMs: 1,
  });

  const written = async (isTTY: boolean, body: Buffer[]) => {
    const output = Object.assign(new PassThrough(), { isTTY });
    await writeResponse(response(body), output, { head: true });
    return output.end().read() as Buffer;
  };

  it('reaches a file byte by byte, and a terminal without what it would obey', async () => {
    const body = [Buffer.from([0x1b, 0x5b, 0x32, 0x4a, 0xc3]), Buffer.from([0xbc, 0x0a, 0x09, 0x00])];
    const file = await written(false, body);
    expect(file.includes(Buffer.concat(body))).toBe(true);
    const text = (await written(true, body)).toString();
    expect(text).toBe('HTTP/1.1 200 O\\x1b[2JK\nx-evil: \\x9b2Jx\n\n\\x1b[2Jü\n\t\\x00\nx-after: 1\n');
  });

  it('keeps lines and tabs only', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(terminalText(text)).not.toMatch(/(?![\t\r\n])\p{Cc}/u);
      }),
    );
  });
});
