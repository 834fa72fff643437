import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { Template } from '../../src/scaffold/manifest.ts';
import { askForProject } from '../../src/scaffold/questions.ts';

const template = (name: string, options = {}): Template =>
  ({
    name,
    directory: '/x',
    manifest: { summary: `${name}!`, entity: true, options, layers: [] },
  }) as unknown as Template;
const TEMPLATES = [
  template('consumer'),
  template('grpc-service', { lang: { choices: ['typescript', 'go'], default: 'typescript' } }),
];

/** Answers one question after another, as each is asked; then leaves. */
async function ask(answers: string[], given: Parameters<typeof askForProject>[1] = { options: {} }) {
  const input = new PassThrough();
  const output = new PassThrough();
  let shown = '';
  output.on('data', (text: Buffer) => {
    shown += text;
    if (!/(?:\] |: )$/.test(shown)) return;
    const next = answers.shift();
    if (next === undefined) input.end();
    else input.write(`${next}\n`);
  });
  return { answer: await askForProject(TEMPLATES, given, { input, output }), shown };
}

describe('questions of mesh new', () => {
  it('asks for the template, the name and the options', async () => {
    const { answer, shown } = await ask(['2', 'orders', 'go']);
    expect(answer).toEqual({ template: 'grpc-service', name: 'orders', options: { lang: 'go' } });
    expect(shown).toContain('  2  grpc-service  grpc-service!');
  });

  it('asks again after an answer that will not do, and takes defaults', async () => {
    const { answer, shown } = await ask(['7', 'grpc-service', 'Orders', 'orders', '']);
    expect(answer).toEqual({ template: 'grpc-service', name: 'orders', options: { lang: 'typescript' } });
    expect(shown).toContain('one of: consumer, grpc-service');
    expect(shown).toContain('write `orders`');
  });

  it('asks for nothing that was given', async () => {
    const { answer } = await ask(['orders'], { template: 'grpc-service', options: { lang: 'go' } });
    expect(answer).toEqual({ template: 'grpc-service', name: 'orders', options: { lang: 'go' } });
  });

  it('ends without an answer when the user leaves', async () => {
    expect((await ask(['1'])).answer).toBeNull();
    expect((await ask([])).answer).toBeNull();
  });
});
