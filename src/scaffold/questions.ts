import { createInterface } from 'node:readline/promises';
import type { Template } from './manifest.ts';
import { checkName } from './names.ts';

/** Where questions are asked: a terminal. */
export interface Terminal {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

export interface Answers {
  readonly template: string;
  readonly name: string;
  readonly options: Readonly<Record<string, string>>;
}

/** Asks for what was not given; null if the user leaves (Ctrl-C, Ctrl-D). */
export async function askForProject(
  templates: readonly Template[],
  given: { template?: string; name?: string; options: Readonly<Record<string, string>> },
  { input, output }: Terminal,
): Promise<Answers | null> {
  const lines = createInterface({ input, output });
  const closed = new Promise<null>((resolve) => lines.once('close', () => resolve(null)));
  const ask = async (question: string): Promise<string | null> => {
    const answer = await Promise.race([lines.question(question).catch(() => null), closed]);
    return answer === null ? null : answer.trim();
  };
  const choose = async (question: string, choices: readonly string[], preset: string): Promise<string | null> => {
    for (;;) {
      const answer = await ask(`${question} [${preset}] `);
      if (answer === null) return null;
      if (answer === '') return preset;
      const chosen = choices[Number(answer) - 1] ?? choices.find((choice) => choice === answer);
      if (chosen !== undefined) return chosen;
      output.write(`  one of: ${choices.join(', ')}\n`);
    }
  };
  try {
    const names = templates.map(({ name }) => name);
    let { template, name } = given;
    if (template === undefined) {
      const width = Math.max(...names.map(({ length }) => length));
      templates.forEach(({ name: each, manifest }, index) => {
        output.write(`  ${index + 1}  ${each.padEnd(width)}  ${manifest.summary}\n`);
      });
      template = (await choose('Template', names, names[0])) ?? undefined;
      if (template === undefined) return null;
    }
    while (name === undefined) {
      const answer = await ask('Name of the service: ');
      if (answer === null) return null;
      const checked = checkName('service', answer);
      if (checked.ok) name = answer;
      else output.write(`  ${checked.problems[0].message}; ${checked.problems[0].hint}\n`);
    }
    const options: Record<string, string> = { ...given.options };
    const known = templates.find((each) => each.name === template)?.manifest.options ?? {};
    for (const [option, { choices, default: preset }] of Object.entries(known)) {
      if (options[option] !== undefined || choices.length < 2) continue;
      const chosen = await choose(`${option} (${choices.join(', ')})`, choices, preset);
      if (chosen === null) return null;
      options[option] = chosen;
    }
    return { template, name, options };
  } finally {
    lines.close();
  }
}
