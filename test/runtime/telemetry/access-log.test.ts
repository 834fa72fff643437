import { existsSync } from 'node:fs';
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
let diskFull: boolean;

beforeEach(async () => {
  directory = await temporaryDirectory();
  file = path.join(directory.path, 'logs', 'access.log');
  notices = [];
  nowMs = 0;
  diskFull = false;
});

afterEach(() => directory[Symbol.asyncDispose]());

type Target = { file: string | null; format: 'json' | 'text' } | null;

function open(mesh: Target, services: Record<string, Target> = {}) {
  const hub = createTapHub(() => {});
  const abort = new AbortController();
  const printed: [string, readonly string[]][] = [];
  const log = new AccessLog({
    settings: { mesh, services },
    now: () => nowMs,
    print: (service, texts) => {
      if (diskFull) return false;
      printed.push([service, texts]);
      return true;
    },
    onNotice: (level, text) => notices.push(`${level} ${text}`),
  });
  const ended = log.follow(hub.open(ANY_REQUEST, abort.signal, true));
  return {
    log,
    printed,
    write: (events: Partial<RequestEvent>[], dropped = 0) =>
      hub.deliver([{ tap: 1, batch: { events: events.map(requestEvent), dropped, filtered: 0 } }]),
    async close() {
      abort.abort();
      await ended;
    },
  };
}

const toFile = (format: 'json' | 'text' = 'text', name = file): Target => ({ file: name, format });
const STDOUT: Target = { file: null, format: 'text' };
const lines = async (name = file) => (await readFile(name, 'utf8').catch(() => '')).split('\n').slice(0, -1);

describe('the access log', () => {
  it('is text or JSON, a line for each request, for the owner alone', async () => {
    const text = open(toFile(), { web: null });
    text.write([{ path: '/1' }, { path: '/2', destination: 'web' }]);
    await until(async () => (await lines()).length === 1, 'the line is there');
    await text.close();
    const json = open(toFile('json'));
    json.write([{ path: '/3' }]);
    await until(async () => (await lines()).length === 2, 'the second line is there');
    await json.close();
    const [first, second] = await lines();
    expect(first).toContain('"GET /1" 200');
    expect(JSON.parse(second)).toMatchObject({ path: '/3', tls: true });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('is opened anew where it was rotated away', async () => {
    const log = open(toFile());
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
    const log = open(toFile());
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
    const log = open(toFile());
    log.write([{}], 12);
    await until(() => notices.length === 1, 'the notice');
    expect(notices[0]).toContain('misses 12 requests');
    await log.close();
  });

  it('goes where the called service says, before what the mesh says', async () => {
    const own = path.join(directory.path, 'orders.log');
    const { write, close, printed } = open(toFile('text'), { orders: toFile('json', own), web: STDOUT, quiet: null });
    write([
      { path: '/orders', destination: 'orders' },
      { path: '/web', destination: 'web' },
      { path: '/quiet', destination: 'quiet' },
      { path: '/other', destination: 'other' },
      { path: '/nowhere', destination: '' },
    ]);
    await close();
    expect((await lines(own)).map((line) => JSON.parse(line).path)).toEqual(['/orders']);
    expect((await lines()).map((line) => /"GET (\S+)"/.exec(line)![1])).toEqual(['/other', '/nowhere']);
    expect(printed).toEqual([['web', [expect.stringContaining('"GET /web"')]]]);
  });

  it('prints what reached no service beside what its caller says', async () => {
    const { write, close, printed } = open(STDOUT);
    write([{ path: '/1', destination: '', source: 'gateway' }, { path: '/2' }, { path: '/3', destination: 'web' }]);
    await close();
    expect(printed.map(([service, texts]) => `${service} ${texts.length}`)).toEqual(['gateway 1', 'orders 1', 'web 1']);
  });

  it('takes other settings from the next batch on, without missing a request', async () => {
    const { log, write, close, printed } = open(STDOUT);
    write([{ path: '/1' }]);
    await until(() => printed.length === 1, 'the first line');
    log.use({ mesh: toFile(), services: {} });
    write([{ path: '/2' }]);
    await until(async () => (await lines()).length === 1, 'the second line');
    log.use({ mesh: null, services: {} });
    write([{ path: '/3' }]);
    await close();
    expect(await lines()).toHaveLength(1);
    expect(printed).toHaveLength(1);
    expect(log.missed).toBe(0);
  });

  it.runIf(existsSync('/dev/full'))('stops with one notice on a full disk, and only there', async () => {
    const own = path.join(directory.path, 'orders.log');
    const { log, write, close } = open(toFile('text', '/dev/full'), { orders: toFile('text', own) });
    for (let i = 0; i < 5; i++) {
      write([{ destination: 'web' }, { destination: 'orders' }]);
      await until(async () => (await lines(own)).length === i + 1, 'the other log goes on');
      nowMs += 4_000;
    }
    await close();
    expect(notices).toHaveLength(1);
    expect(notices[0]).toMatch(/^warning the access log \/dev\/full cannot be written: .*ENOSPC/);
    expect(log.missed).toBe(5);
  });

  it('does the same where the output of services cannot be written', async () => {
    const { log, write, close, printed } = open(STDOUT);
    diskFull = true;
    write([{}]);
    await until(() => notices.length === 1, 'the notice');
    expect(notices[0]).toMatch(/^warning the access log in \.mesh\/logs cannot be written/);
    diskFull = false;
    nowMs += 6_000;
    write([{}]);
    await until(() => printed.length === 1, 'it is written again');
    await close();
    expect(notices[1]).toContain('is written again');
    expect(log.missed).toBe(1);
  });
});
