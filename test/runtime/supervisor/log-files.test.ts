import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogLine } from '../../../src/model/status.ts';
import type { LogQuery } from '../../../src/runtime/control/mesh-control.ts';
import { LogStore } from '../../../src/runtime/supervisor/log-files.ts';
import { formatLines, LineSplitter, MAX_LINE_LENGTH, parseLine } from '../../../src/runtime/supervisor/log-lines.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { eventually, temporaryDirectory, unwrap } from './mesh-fixture.ts';

const split = (chunks: readonly (Buffer | string)[]): string[] => {
  const splitter = new LineSplitter();
  return [...chunks.flatMap((chunk) => splitter.push(Buffer.from(chunk as string))), ...splitter.flush()];
};

describe('lines', () => {
  it('are the same however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 20 })), fc.array(fc.nat(400)), (texts, cuts) => {
        const lines = texts.map((text) => text.replaceAll(/\p{Cc}/gu, '-'));
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const places = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
        const chunks = places.slice(1).map((end, index) => bytes.subarray(places[index], end));
        expect(split(chunks)).toEqual(lines);
      }),
    );
  });

  it('of binary output are printable, and never an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        for (const line of split([Buffer.from(bytes)]))
          expect(stripVTControlCharacters(line).replaceAll('\t', '')).not.toMatch(/\p{Cc}/u);
      }),
    );
    expect(split([Buffer.from([0xff, 0xfe, 0x41, 0x00, 0x0a])])).toEqual(['\ufffd\ufffdA\\x00']);
  });

  it('keep colours, lose what would disturb a terminal', () => {
    expect(
      split(['\x1b[31mred\x1b[0m\r\n', '\x1b[2J\x1b]0;title\x07clear\x07\n', '10 %\r50 %\r100 %\n', 'tab\there\n']),
    ).toEqual(['\x1b[31mred\x1b[0m', 'clear\\x07', '100 %', 'tab\there']);
  });

  it('without end are cut between characters', () => {
    const text = 'ä€😀'.repeat(30_000);
    for (const size of [1_000, 65_536, 1_000_000]) {
      const bytes = Buffer.from(text);
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      );
      const lines = split(chunks);
      expect(lines.length).toBeGreaterThan(1);
      expect(lines.every((line) => line.length <= MAX_LINE_LENGTH * 3)).toBe(true);
      expect(lines.join('')).toBe(text);
    }
  });

  it('are read back as they were written', () => {
    const [first, second] = formatLines(0, 'stderr', ['one', '']).split('\n');
    expect(parseLine(first, 'a', 'a-1')).toEqual({
      time: '1970-01-01T00:00:00.000Z',
      service: 'a',
      instance: 'a-1',
      stream: 'stderr',
      text: 'one',
    });
    expect(parseLine(second, 'a', 'a-1')?.text).toBe('');
    expect(parseLine('garbage', 'a', 'a-1')).toBeNull();
  });
});

let base: string;
let clock: FakeClock;
let store: LogStore;

beforeEach(() => {
  base = temporaryDirectory();
  for (const folder of ['logs', 'output']) fs.mkdirSync(path.join(base, folder));
  clock = new FakeClock(0);
  store = open();
});

afterEach(() => {
  store.close();
  fs.rmSync(base, { recursive: true, force: true });
});

function open(more: { maxLogBytes?: number; maxSpoolBytes?: number } = {}): LogStore {
  return new LogStore({
    directory: { logs: path.join(base, 'logs'), output: path.join(base, 'output') },
    clock,
    ...more,
  });
}

const all: LogQuery = { services: [], tail: null, sinceMs: null, follow: false };

async function query(from: LogStore, more: Partial<LogQuery> = {}): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const batch of from.query({ ...all, ...more }, new AbortController().signal)) lines.push(...batch);
  return lines;
}

const texts = (lines: readonly LogLine[]): string[] => lines.map(({ text }) => text);

/** `count` lines of each instance, a millisecond apart, in turn. */
function fill(into: LogStore, instances: string[], count: number): void {
  for (let number = 0; number < count; number++)
    for (const instance of instances) {
      clock.jump(1);
      into.note(instance.replace(/-\d+$/, ''), instance, `${instance} ${number}`);
    }
}

describe('the log store', () => {
  it('keeps streams apart, in order, with what the process wrote last and without a line feed', async () => {
    const output = unwrap(store.collect('web', 'web-1', 'x'));
    const seen: string[] = [];
    output.onLines((lines) => seen.push(...lines));
    const { stdout, stderr } = output.descriptors;
    const child = spawn('/bin/sh', ['-c', 'echo one; sleep 0.1; echo two >&2; sleep 0.1; printf three'], {
      stdio: ['ignore', stdout, stderr],
    });
    await new Promise((resolve) => child.once('exit', resolve));
    output.finish();
    expect(seen).toEqual(['one', 'two', 'three']);
    expect(output.recentLines()).toEqual(seen);
    expect((await query(store)).map(({ stream, text }) => [stream, text])).toEqual([
      ['stdout', 'one'],
      ['stderr', 'two'],
      ['stdout', 'three'],
    ]);
    expect(fs.readdirSync(path.join(base, 'output'))).toEqual([]);
  });

  it('answers by service, number and time, merged by time', async () => {
    fill(store, ['a-1', 'b-1', 'a-2'], 100);
    const reader = open();
    const times = (await query(reader)).map(({ time }) => time);
    expect(times).toHaveLength(300);
    expect(times).toEqual([...times].sort());
    expect(texts(await query(reader, { services: ['a'], tail: 2 }))).toEqual(['a-1 98', 'a-2 98', 'a-1 99', 'a-2 99']);
    expect(texts(await query(reader, { tail: 0 }))).toEqual([]);
    expect(texts(await query(reader, { sinceMs: 298 }))).toEqual(['a-1 99', 'b-1 99', 'a-2 99']);
    expect(await query(reader, { services: ['b'], tail: 1_000 })).toHaveLength(100);
    reader.close();
  });

  it('finds the place of a time in a long log', async () => {
    fill(store, ['a-1'], 20_000);
    for (const sinceMs of [1, 7_777, 19_990, 20_000, 20_001])
      expect((await query(store, { sinceMs })).length).toBe(20_000 - sinceMs + 1);
    expect(texts(await query(store, { tail: 5_000 }))[0]).toBe('a-1 15000');
  });

  it('rotates by size, and reads and follows across rotations', async () => {
    store.close();
    store = open({ maxLogBytes: 2_000 });
    fill(store, ['a-1'], 100);
    const files = fs.readdirSync(path.join(base, 'logs/a'));
    expect(files.sort()).toEqual(['a-1.log', 'a-1.log.1']);
    for (const file of files) expect(fs.statSync(path.join(base, 'logs/a', file)).size).toBeLessThan(2_100);
    const kept = texts(await query(store));
    expect(kept.at(-1)).toBe('a-1 99');
    expect(kept.length).toBeGreaterThan(50);
    expect(texts(await query(store, { tail: kept.length - 1 }))).toEqual(kept.slice(1));

    const stop = new AbortController();
    const followed: string[] = [];
    const following = (async () => {
      for await (const batch of store.query({ ...all, follow: true, tail: 3 }, stop.signal))
        followed.push(...texts(batch));
    })();
    await eventually('backlog', () => followed.length === 3);
    for (let number = 100; number < 400; number++) {
      store.note('a', 'a-1', `a-1 ${number}`);
      if (number % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually('all followed', () => followed.length === 303);
    expect(followed).toEqual(Array.from({ length: 303 }, (_, index) => `a-1 ${97 + index}`));
    stop.abort();
    await following;
  });

  it('follows without gap or repetition whatever is written around the turn from backlog to follow', async () => {
    fill(store, ['a-1', 'b-1'], 700);
    const stop = new AbortController();
    const followed: string[] = [];
    for await (const batch of store.query({ ...all, follow: true }, stop.signal)) {
      followed.push(...texts(batch));
      // Written while the reader is in the middle of its backlog, and by instances that come later.
      if (followed.length === 500) fill(store, ['c-1'], 10);
      if (followed.length === 1_410) fill(store, ['b-1'], 1);
      if (followed.length === 1_411) stop.abort();
    }
    expect(new Set(followed).size).toBe(followed.length - 1);
    expect(followed.filter((text) => text.startsWith('c-1'))).toHaveLength(10);
    expect(followed.at(-1)).toBe('b-1 0');
  });

  it('loses nothing when the daemon dies while processes write on', async () => {
    const output = unwrap(store.collect('web', 'web-1', 'x'));
    const { stdout, stderr } = output.descriptors;
    const child = spawn(process.execPath, ['-e', 'let n = 0; setInterval(() => console.log(n++), 5)'], {
      stdio: ['ignore', stdout, stderr],
    });
    await eventually('lines', async () => (await query(store)).length > 5);
    // As after kill -9: the files stay, the position is what was written down.
    store.close();
    const read = fs.statSync(path.join(base, 'output/web~web-1~x.stdout')).size;
    await eventually('more', () => fs.statSync(path.join(base, 'output/web~web-1~x.stdout')).size > read + 10);
    child.kill();
    await new Promise((resolve) => child.once('exit', resolve));
    store = open();
    store.collectLeftovers();
    const lines = texts(await query(store));
    expect(lines).toEqual(lines.map((_, index) => String(index)));
    expect(lines.length).toBeGreaterThan(8);
    expect(fs.readdirSync(path.join(base, 'output'))).toEqual([]);
  });

  it('a flood fills neither disk nor memory, and its end is kept', async () => {
    store.close();
    store = open({ maxLogBytes: 1_000_000, maxSpoolBytes: 2_000_000 });
    const output = unwrap(store.collect('web', 'web-1', 'x'));
    const { stdout, stderr } = output.descriptors;
    const line = `${'x'.repeat(99)}\n`;
    const child = spawn(
      process.execPath,
      [
        '-e',
        `const chunk = Buffer.from(${JSON.stringify(line)}.repeat(1000)); for (let n = 0; n < 1000; n++) require('node:fs').writeSync(1, chunk); setTimeout(() => console.log('the end'), 1000)`,
      ],
      { stdio: ['ignore', stdout, stderr] },
    );
    let ended = false;
    child.once('exit', () => (ended = true));
    let largest = 0;
    const before = process.memoryUsage().rss;
    await eventually(
      'flood over',
      async () => {
        const sizes = ['output', 'logs/web'].flatMap((folder) => {
          const at = path.join(base, folder);
          return fs.existsSync(at)
            ? fs.readdirSync(at).map((file) => fs.statSync(path.join(at, file), { throwIfNoEntry: false })?.size ?? 0)
            : [];
        });
        largest = Math.max(
          largest,
          sizes.reduce((sum, size) => sum + size, 0),
        );
        return ended;
      },
      30_000,
    );
    output.finish();
    expect(process.memoryUsage().rss - before).toBeLessThan(150_000_000);
    expect(largest).toBeLessThan(60_000_000);
    // Emptying a spool that ran over can lose what is written in that very moment, a line's end included; what comes
    // after the flood is kept.
    expect(store.tail('web', 'web-1', 1)[0].text).toMatch(/the end$/);
    for (const file of fs.readdirSync(path.join(base, 'logs/web')))
      expect(fs.statSync(path.join(base, 'logs/web', file)).size).toBeLessThan(3_000_000);
  });

  it('takes lines that mesh writes on behalf of a service, and shows them to who follows', async () => {
    expect(store.write('web', 'web', ['GET /1', 'GET /2'])).toBe(true);
    expect(store.tail('web', 'web', 5).map(({ stream, text }) => `${stream} ${text}`)).toEqual([
      'mesh GET /1',
      'mesh GET /2',
    ]);
    const abort = new AbortController();
    const lines = store.query({ services: ['web'], tail: 1, sinceMs: null, follow: true }, abort.signal);
    expect((await lines.next()).value).toMatchObject([{ service: 'web', instance: 'web', text: 'GET /2' }]);
    const next = lines.next();
    store.write('web', 'web', ['GET /3']);
    expect((await next).value).toMatchObject([{ text: 'GET /3' }]);
    abort.abort();
  });

  it('goes on when its folder is taken away', () => {
    fs.rmSync(path.join(base, 'logs'), { recursive: true });
    fs.writeFileSync(path.join(base, 'logs'), '');
    store.note('web', 'web-1', 'lost');
    expect(store.tail('web', 'web-1', 5)).toEqual([]);
    expect(store.write('web', 'web', ['lost too'])).toBe(false);
    fs.rmSync(path.join(base, 'output'), { recursive: true });
    expect(store.collect('web', 'web-1', 'x')).toMatchObject({ ok: false, problems: [{ code: 'MESH-S101' }] });
  });
});
