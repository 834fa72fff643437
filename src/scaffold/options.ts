import { Flags } from '@oclif/core';

/**
 * Every option that a template of templates/ may have, as a flag of `mesh new`: help, completion and the parser know them
 * without reading templates. Values and defaults are the template's (`template.json`); a test compares the two.
 */
export const TEMPLATE_OPTIONS = {
  lang: { choices: ['typescript'], description: 'grpc-service: language of the project' },
  relay: { choices: ['wal', 'polling'], description: 'outbox: how it learns of events' },
} as const satisfies Record<string, { choices: readonly string[]; description: string }>;

export const templateFlags = Object.fromEntries(
  Object.entries(TEMPLATE_OPTIONS).map(([name, { choices, description }]) => [
    name,
    Flags.string({ helpValue: choices.join('|'), description, helpGroup: 'TEMPLATE' }),
  ]),
);

/** Those of the flags given that are options of templates. */
export function givenOptions(flags: Readonly<Record<string, unknown>>): Record<string, string> {
  const given = Object.entries(flags).filter(([name]) => Object.hasOwn(TEMPLATE_OPTIONS, name));
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}
