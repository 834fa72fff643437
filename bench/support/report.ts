import { execFileSync } from 'node:child_process';
import os from 'node:os';

/** One measured figure. */
export interface Figure {
  what: string;
  value: string;
  goal: string;
  /** Null: there is no goal to meet, or it does not apply here. */
  met: boolean | null;
}

export interface Section {
  title: string;
  /** What was done, in a sentence. */
  note: string;
  figures: Figure[];
}

/** A bench: everything that it starts it also ends. Null: a peer it needs is not installed. */
export type Bench = () => Promise<Section | null>;

export const ms = (value: number): string => `${value < 10 ? value.toFixed(2) : Math.round(value)} ms`;
export const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0)} MB`;

export function machine(): string {
  const cpus = os.cpus();
  const memory = `${Math.round(os.totalmem() / 2 ** 30)} GiB`;
  return `${cpus.length} x ${cpus[0]?.model.trim() ?? 'unknown CPU'}, ${memory}, ${os.type()} ${os.release()}, Node ${process.version}`;
}

/** First line that a program prints of its version, null where it is not installed. */
export function versionOf(program: string, flag: string): string | null {
  try {
    const output = execFileSync('sh', ['-c', `${program} ${flag} 2>&1`], { encoding: 'utf8' });
    return output.split('\n')[0].trim();
  } catch {
    return null;
  }
}

export function toMarkdown(sections: readonly Section[], date: Date): string {
  const lines = [
    '# Measurements',
    '',
    `${date.toISOString().slice(0, 10)}, ${machine()}.`,
    '',
    'Made by `npm run bench`; times are wall clock, nothing else running but what the bench starts.',
    '',
  ];
  for (const section of sections) {
    lines.push(`## ${section.title}`, '', section.note, '', '| what | measured | goal | |', '|---|---|---|---|');
    for (const { what, value, goal, met } of section.figures) {
      lines.push(`| ${what} | ${value} | ${goal} | ${met === null ? '' : met ? 'met' : 'missed'} |`);
    }
    lines.push('');
  }
  return lines.join('\n');
}
