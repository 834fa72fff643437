import * as v from 'valibot';
import type { Code } from './errors.ts';
import { nearest } from './nearest.ts';
import { quote, show } from './show.ts';
import { DURATION_FORM, formatDuration, guessDuration, MAX_TIMER_MS, parseDuration } from './units.ts';

/**
 * The parts that the schema is made of. valibot carries what is wrong as one text per issue, so code, message and hint
 * travel in it as lines; `readIssue` takes them apart again.
 */

export interface IssueText {
  readonly code: Code;
  readonly message: string;
  readonly hint: string | undefined;
}

export function writeIssue(code: Code, message: string, hint = ''): string {
  return [code, message, hint].map((line) => line.replaceAll('\n', ' ')).join('\n');
}

export function readIssue(text: string): IssueText {
  const [code, message, hint] = text.split('\n');
  return { code: code as Code, message, hint: hint === '' ? undefined : hint };
}

type Issue = v.BaseIssue<unknown>;

/** What is wrong with a value that is not of the type that belongs there. */
function wrongType(
  expected: string,
  hint?: (input: unknown) => string,
  code: Code = 'MESH-C102',
): (issue: Issue) => string {
  return ({ input }) => writeIssue(code, `expected ${expected}, found ${show(input)}`, hint?.(input) ?? '');
}

/** Schemas by key. A key that may be left out has an optional schema, any other a required one. */
export type EntriesOf<T> = {
  [K in keyof T]-?: undefined extends T[K]
    ? v.OptionalSchema<v.GenericSchema<Exclude<T[K], undefined>>, undefined>
    : v.GenericSchema<T[K]>;
};

/** An object with these keys only. Forgetting a key of `T`, or giving it another type, is a type error. */
export function closed<T extends object>(what: string, entries: EntriesOf<T>): v.GenericSchema<T> {
  const allowed = Object.keys(entries);
  const message = (issue: Issue): string =>
    issue.input === undefined && issue.path !== undefined
      ? writeIssue('MESH-C103', `${what} needs the key ${String(issue.path[0].key)}`)
      : wrongType(what)(issue);
  const object = v.objectWithRest(entries as unknown as v.ObjectEntries, unknownKey(what, allowed), message);
  return guarded(object, message) as unknown as v.GenericSchema<T>;
}

/** Words of neighbouring tools for what is called otherwise here. */
const FOREIGN_WORDS: Readonly<Record<string, string>> = {
  args: 'command',
  cmd: 'command',
  entrypoint: 'command',
  exec: 'command',
  run: 'command',
  script: 'command',
  dir: 'cwd',
  workdir: 'cwd',
  workingDir: 'cwd',
  working_dir: 'cwd',
  environment: 'env',
  instances: 'replicas',
  scale: 'replicas',
  depends: 'dependsOn',
  needs: 'dependsOn',
  waitFor: 'dependsOn',
  versions: 'subsets',
  url: 'external',
  address: 'external',
  ports: 'port',
  rules: 'routes',
  backendRefs: 'backends',
  destinations: 'backends',
  match: 'matches',
  numRetries: 'attempts',
  retryOn: 'on',
  retry: 'retries',
  period: 'interval',
  every: 'interval',
  lb: 'loadBalancer',
  hostnames: 'hosts',
  domains: 'hosts',
};

/** Fails on any value: it stands for the keys that an object does not have. */
function unknownKey(what: string, allowed: readonly string[]): v.GenericSchema<never> {
  // The key itself is known only from the path, which is complete when the issue is read: `KEY` stands in for it.
  return v.custom<never>(() => false, writeIssue('MESH-C101', `${what} has no key KEY`, allowed.join(', ')));
}

/** Puts the name of an unknown key into its message and works out what was meant. */
export function nameUnknownKey(issue: IssueText, key: string): IssueText {
  const allowed = issue.hint === undefined ? [] : issue.hint.split(', ');
  const meant = [FOREIGN_WORDS[key], nearest(key, allowed)].find(
    (word) => word !== undefined && allowed.includes(word),
  );
  const list = `allowed: ${issue.hint ?? 'none'}`;
  return {
    code: issue.code,
    message: issue.message.replace('KEY', () => quote(key)),
    hint: meant === undefined ? list : `did you mean '${meant}'? ${list[0].toUpperCase()}${list.slice(1)}`,
  };
}

/** Keys that valibot passes over in silence, and that would be found on objects that do not have them. */
const TREACHEROUS_KEYS = ['__proto__', 'constructor', 'prototype'] as const;

const treacherousKey = (input: unknown): string | undefined =>
  TREACHEROUS_KEYS.find((key) => Object.hasOwn(input as object, key));

/** valibot takes a list, a date or a Map for an object; none of them is one here. */
function guarded(schema: v.GenericSchema<unknown>, message: (issue: Issue) => string): v.GenericSchema<unknown> {
  const refused = v.custom<unknown>(
    () => false,
    (issue) => {
      const key = isPlainObject(issue.input) ? treacherousKey(issue.input) : undefined;
      return key === undefined
        ? message(issue)
        : writeIssue('MESH-C108', `nothing can be called ${quote(key)}`, 'choose another name');
    },
  );
  return v.lazy((input) => (isPlainObject(input) && treacherousKey(input) === undefined ? schema : refused));
}

/** Whatever realm it comes from: configurations are evaluated in a context of their own. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

type KeyOfUnion<U> = U extends unknown ? keyof U : never;
type ValueAt<U, K> = U extends unknown ? (K extends keyof U ? U[K] : never) : never;

/** An object with exactly one of these keys, which says what kind it is: `{ exact: '/a' }` or `{ prefix: '/a' }`. */
export function exactlyOne<U extends object>(
  what: string,
  entries: { [K in KeyOfUnion<U>]: v.GenericSchema<ValueAt<U, K>> },
): v.GenericSchema<U> {
  const keys = Object.keys(entries);
  const kinds = new Map<string, v.GenericSchema<unknown>>();
  for (const [key, schema] of Object.entries<v.GenericSchema<unknown>>(entries)) {
    kinds.set(key, v.objectWithRest({ [key]: schema }, unknownKey(what, keys)));
  }
  // Unknown keys are told first: a misspelt key is a better message than a missing one.
  const unknown = v.objectWithRest(
    Object.fromEntries(keys.map((key) => [key, v.optional(v.unknown())])),
    unknownKey(what, keys),
  );
  const count = v.custom<unknown>(
    () => false,
    ({ input }) =>
      isPlainObject(input)
        ? writeIssue('MESH-C109', `${what} needs exactly one of ${keys.join(', ')}, found ${show(input)}`)
        : wrongType(`${what} with one of ${keys.join(', ')}`)({ input } as Issue),
  );
  const pick = (input: unknown): v.GenericSchema<unknown> => {
    if (!isPlainObject(input)) return count;
    const present = Object.keys(input).filter((key) => input[key] !== undefined);
    const known = present.filter((key) => kinds.has(key));
    if (known.length === 1) return kinds.get(known[0])!;
    return known.length === 0 && present.length > 0 ? unknown : count;
  };
  return v.lazy(pick) as unknown as v.GenericSchema<U>;
}

/** One of a few words. Forgetting one of `T` is a type error. */
export function oneOf<T extends string>(words: Readonly<Record<T, true>>): v.GenericSchema<T> {
  const allowed = Object.keys(words) as T[];
  return v.picklist(allowed, ({ input }) => notAllowed(input, allowed)) as unknown as v.GenericSchema<T>;
}

/** One of a few numbers. */
export function oneOfNumbers<const T extends number>(allowed: readonly T[]): v.GenericSchema<T> {
  return v.picklist(allowed, ({ input }) => notAllowed(input, allowed.map(String))) as unknown as v.GenericSchema<T>;
}

/** Says of a value that it is not among those allowed, and which one was probably meant. */
export function notAllowed(input: unknown, allowed: readonly string[]): string {
  const near = typeof input === 'string' ? nearest(input, allowed) : undefined;
  const list = `allowed: ${allowed.join(', ')}`;
  const hint = near === undefined ? list : `did you mean '${near}'? Allowed: ${allowed.join(', ')}`;
  return writeIssue('MESH-C104', `${show(input)} is not allowed here`, hint);
}

/** A list; with `least`, one that is not empty. */
export function list<T>(what: string, item: v.GenericSchema<T>, least = 0): v.GenericSchema<T[]> {
  const array = v.array(item, wrongType(`a list of ${what}`));
  if (least === 0) return array;
  return v.pipe(
    array,
    v.check((items) => items.length >= least, writeIssue('MESH-C117', `a list of ${what} without any`)),
  );
}

/** An object with keys of the user's choice. */
export function dictionary<T>(
  what: string,
  key: v.GenericSchema<string>,
  value: v.GenericSchema<T>,
): v.GenericSchema<Record<string, T>> {
  const message = wrongType(what);
  return guarded(v.record(key, value, message), message) as v.GenericSchema<Record<string, T>>;
}

/** One thing, or a list of it. */
export function oneOrMore<T extends string>(what: string, item: v.GenericSchema<T>): v.GenericSchema<T | T[]> {
  const several = list(what, item, 1);
  return v.lazy((input) => (Array.isArray(input) ? several : item)) as unknown as v.GenericSchema<T | T[]>;
}

/** Picks the schema by the value, so that what is said about a wrong one is exact. */
export function either<T>(pick: (input: unknown) => v.GenericSchema<T>): v.GenericSchema<T> {
  return v.lazy(pick) as unknown as v.GenericSchema<T>;
}

export const optional = <T>(schema: v.GenericSchema<T>): v.OptionalSchema<v.GenericSchema<T>, undefined> =>
  v.optional(schema);

/** Text. `test` says what is wrong with it: a code and a message, or undefined for nothing. */
export function text(
  expected: string,
  test?: (value: string) => string | undefined,
  hint?: (input: unknown) => string,
  typeCode?: Code,
): v.GenericSchema<string> {
  const string = v.string(wrongType(expected, hint, typeCode));
  if (test === undefined) return string;
  return v.pipe(
    string,
    v.check(
      (value: string) => test(value) === undefined,
      ({ input }) => test(input as string)!,
    ),
  );
}

/** Text that is not empty and has no NUL, which no argument or path can have. */
export const nonEmpty = (what: string): v.GenericSchema<string> =>
  text(what, (value) =>
    value.trim() === '' ? writeIssue('MESH-C117', `expected ${what}, found empty text`) : notNul(what, value),
  );

const notNul = (what: string, value: string): string | undefined =>
  value.includes('\0') ? writeIssue('MESH-C102', `expected ${what}, found a NUL character in it`) : undefined;

/** A shell command line, or a program and its arguments, which may be empty. */
export function commandLine(): v.GenericSchema<string | string[]> {
  const line = nonEmpty('a command');
  const argument = text('an argument', (value) => notNul('an argument', value));
  const noProgram = writeIssue(
    'MESH-C117',
    'a command without a program',
    "a list of the program and its arguments: ['node', 'app.js']",
  );
  const argv = v.pipe(
    list('arguments', argument),
    v.check((items) => items.length > 0 && items[0].trim() !== '', noProgram),
  );
  const neither = text("a command line, or a program and its arguments such as ['node', 'app.js']");
  return either<string | string[]>((input) =>
    Array.isArray(input) ? argv : typeof input === 'string' ? line : neither,
  );
}

export function number(what: string, least: number, most: number, whole = true): v.GenericSchema<number> {
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`;
  const expected = `${what}, a ${whole ? 'whole ' : ''}number ${range}`;
  const unquote = (input: unknown): string =>
    typeof input === 'string' && input.trim() !== '' && Number.isFinite(Number(input))
      ? `without quotes: ${Number(input)}`
      : '';
  return v.pipe(
    v.number(wrongType(expected, unquote)),
    v.check(
      (value) => value >= least && value <= most && (!whole || Number.isInteger(value)),
      ({ input }) => writeIssue('MESH-C107', `expected ${expected}, found ${show(input)}`),
    ),
  );
}

export const flag = v.boolean(wrongType('true or false')) as v.GenericSchema<boolean>;

export const yes = v.literal(true, wrongType('true')) as v.GenericSchema<true>;

export const no = v.literal(false, wrongType('false')) as v.GenericSchema<false>;

/** A duration from `leastMs` to `mostMs`. */
export function duration(leastMs = 0, mostMs = MAX_TIMER_MS): v.GenericSchema<string> {
  return text(
    DURATION_FORM,
    (value) => {
      const ms = parseDuration(value);
      if (ms === null) {
        const guess = guessDuration(value);
        const hint = guess === null ? 'digits and a unit h, m, s or ms, without blanks' : `did you mean '${guess}'?`;
        return writeIssue('MESH-C105', `expected ${DURATION_FORM}, found ${quote(value)}`, hint);
      }
      if (ms < leastMs)
        return writeIssue('MESH-C120', `${quote(value)} is too short`, `at least ${formatDuration(leastMs)}`);
      if (ms > mostMs)
        return writeIssue('MESH-C120', `${quote(value)} is too long`, `at most ${formatDuration(mostMs)}`);
      return undefined;
    },
    (input) =>
      typeof input === 'number' && Number.isInteger(input) && input >= 0
        ? `say the unit: '${input}s' or '${input}ms'`
        : '',
    'MESH-C105',
  );
}

export const port: v.GenericSchema<number> = number('a port', 1, 65_535);
