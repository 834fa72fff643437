import { mkdir, readFile, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ANY_REQUEST, type RequestEvent } from '../../../src/model/events.ts';
import { AccessLog } from '../../../src/runtime/telemetry/access-log.ts';
import { createTapHub } from '../../../src/runtime/telemetry/tap-hub.ts';
import { requestEvent, temporaryDirectory, until } from '../control/fake-mesh.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let file: string;
let notices: string[];
let nowMs: number;

beforeEach(async () => {
  directory = await temporaryDirectory();
  file = path.join(directory.path, 'logs', 'access.log');
  notices = [];
  nowMs = 0;
});

afterEach(() => directory[Symbol.asyncDispose]());

function open(format: 'json' | 'text', except: string[] = []) {
  const hub = createTapHub(() => {});
  const abort = new AbortController();
  const log = new AccessLog({
    settings: { file, format, except },
    now: () => nowMs,
    onNotice: (level, text) => notices.push(`${level} ${text}`),
  });
  const ended = log.follow(hub.open(ANY_REQUEST, abort.signal));
  return {
    write: (events: Partial<RequestEvent>[], dropped = 0) =>
      hub.deliver([{ tap: 1, batch: { events: events.map(requestEvent), dropped, filtered: 0 } }]),
    async close() {
      abort.abort();
      await ended;
    },
  };
}

const lines = async (name = file) => (await readFile(name, 'utf8').catch(() => '')).split('\n').slice(0, -1);

describe('the access log', () => {
  it('is text or JSON, a line for each request, for the owner alone', async () => {
    const text = open('text', ['web']);
    text.write([{ path: '/1' }, { path: '/2', destination: 'web' }]);
    await until(async () => (await lines()).length === 1, 'the line is there');
    await text.close();
    const json = open('json');
    json.write([{ path: '/3' }]);
    await until(async () => (await lines()).length === 2, 'the second line is there');
    await json.close();
    const [first, second] = await lines();
    expect(first).toContain('"GET /1" 200');
    expect(JSON.parse(second)).toMatchObject({ path: '/3', tls: true });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('is opened anew where it was rotated away', async () => {
    const log = open('text');
    log.write([{ path: '/1' }]);
    await until(async () => (await lines()).length === 1, 'the first line');
    await rename(file, `${file}.1`);
    nowMs += 1_000;
    log.write([{ path: '/2' }]);
    await until(async () => (await lines()).length === 1, 'the line after the rotation');
    expect((await lines(`${file}.1`))[0]).toContain('/1');
    expect((await lines())[0]).toContain('/2');
    await log.close();
  });

  it('tells once that it cannot be written, tries again later, and tells how much is missing', async () => {
    // A directory in its place.
    await mkdir(file, { recursive: true });
    const log = open('text');
    log.write([{ path: '/1' }]);
    await until(() => notices.length === 1, 'the notice');
    expect(notices[0]).toMatch(/^warning the access log .* cannot be written/);
    log.write([{ path: '/2' }]);
    await rename(file, `${file}.d`);
    nowMs += 6_000;
    await until(async () => {
      log.write([{ path: '/3' }]);
      return (await lines()).length > 0;
    }, 'it is written again');
    await until(() => notices.length === 3, 'both notices');
    expect(notices[1]).toContain('is written again');
    expect(notices[2]).toMatch(/misses \d+ requests/);
    await log.close();
  });

  it('tells of what was dropped before it', async () => {
    const log = open('text');
    log.write([{}], 12);
    await until(() => notices.length === 1, 'the notice');
    expect(notices[0]).toContain('misses 12 requests');
    await log.close();
  });
});
