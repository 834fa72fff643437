import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { codes, explain, problem } from '../../src/model/errors.ts';

const SOURCE = fileURLToPath(new URL('../../src', import.meta.url));

describe('the table of codes', () => {
  it('explains each of them in a title and a few lines', () => {
    expect(codes().length).toBeGreaterThan(90);
    for (const code of codes()) {
      const explained = explain(code);
      if (!explained.ok) throw new Error(code);
      const { title, explanation } = explained.value;
      expect(title, code).toMatch(/^\S.{5,60}[^.]$/);
      expect(explanation.length, code).toBeGreaterThan(40);
      for (const line of explanation.split('\n')) expect(line.length, `${code}: ${line}`).toBeLessThanOrEqual(125);
    }
  });

  it('has every code that the sources mention', () => {
    const known = new Set<string>(codes());
    const unknown: string[] = [];
    for (const entry of readdirSync(SOURCE, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.tsx?$/.test(entry.name)) continue;
      const file = join(entry.parentPath, entry.name);
      for (const [code] of readFileSync(file, 'utf8').matchAll(/MESH-[A-Z]\d{3}/g)) {
        if (!known.has(code)) unknown.push(`${code} in ${entry.name}`);
      }
    }
    expect(unknown).toEqual([]);
  });

  it.each(['MESH-C101', 'mesh-c101', 'C101', ' c101 '])('finds %j', (code) => {
    expect(explain(code)).toMatchObject({ ok: true, value: { code: 'MESH-C101' } });
  });

  it.each(['MESH-C999', 'C1O1', '', 'toString', 'MESH-constructor'])('does not know %j', (code) => {
    expect(explain(code)).toMatchObject({ ok: false, problems: [{ code: 'MESH-U104' }] });
  });

  it('suggests the nearest code', () => {
    const result = explain('C1O1');
    expect(!result.ok && result.problems[0].hint).toMatch(/did you mean 'MESH-C101'/);
  });
});

describe('a problem', () => {
  it('has only what is given', () => {
    expect(problem('MESH-R101')).toEqual({ code: 'MESH-R101', message: 'no mesh is running here' });
    expect(
      problem('MESH-C101', { message: 'm', hint: 'h', path: ['services', 'a.b', 0], severity: 'warning' }),
    ).toEqual({
      code: 'MESH-C101',
      message: 'm',
      hint: 'h',
      path: 'services["a.b"][0]',
      severity: 'warning',
    });
  });
});
