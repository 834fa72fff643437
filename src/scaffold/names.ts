import { problem } from '../model/errors.ts';
import { nearest } from '../model/nearest.ts';
import { fail, ok, type Result } from '../model/result.ts';

/** What a template calls its service and what that is about: two words, so that each form is distinguishable. */
const SAMPLE_SERVICE = 'order-desk';
const SAMPLE_ENTITY = 'sales-order';
const MOST_CHARACTERS = 40;

/** Replaces sample names in text and in file names. */
export interface Names {
  readonly service: string;
  readonly entity: string;
  substitute(text: string): string;
}

/** Words that cannot name a variable, a type or a package in one of the languages of the templates. */
const RESERVED = new Set(
  `abstract and any as assert async await bool boolean break byte case catch chan class const continue debugger def default
defer del delete do elif else enum eval except export extends fallthrough false final finally float for from func function
global go goto if implements import in int interface is lambda let long map message module new none nonlocal not null number
object or package pass private protected public raise range return rpc self select service short static string struct super
switch symbol syntax this throw true try type typeof undefined union unknown use var void while with yield`.split(
    /\s+/,
  ),
);

/** @returns MESH-N151 */
export function checkName(what: string, name: string, option?: string): Result<string> {
  const asked = option === undefined ? what : `${what} (${option})`;
  const refuse = (reason: string, hint: string) =>
    fail(problem('MESH-N151', { message: `${JSON.stringify(name)} is no ${asked} name: ${reason}`, hint }));
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)) {
    const close = toKebab(name);
    return refuse(
      'lowercase letters, digits and single `-`, a letter first',
      close === '' || RESERVED.has(close) ? 'for example `shopping-carts`' : `write \`${close}\``,
    );
  }
  if (name.length > MOST_CHARACTERS) {
    return refuse(`it has ${name.length} characters`, `at most ${MOST_CHARACTERS} fit`);
  }
  if (name === 'gateway') return refuse('it is the way into the mesh', 'for example `edge`');
  if (RESERVED.has(name)) {
    return refuse('it is a reserved word of TypeScript, Python or Go', `for example \`${name}-service\``);
  }
  return ok(name);
}

function toKebab(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^[^a-z]+|-+$/g, '')
    .slice(0, MOST_CHARACTERS)
    .replace(/-+$/, '');
}

/** `shopping-carts` -> `shopping-cart`; what has no plural ending stays. */
export function singularOf(name: string): string {
  if (/[^aeiou]ies$/.test(name) && name.length > 4) return name.replace(/ies$/, 'y');
  if (/(ss|sh|ch|x|zz)es$/.test(name)) return name.slice(0, -2);
  if (/(ss|us|is)$/.test(name) || !name.endsWith('s') || name.length < 3) return name;
  return name.slice(0, -1);
}

export function pluralOf(name: string): string {
  if (/[^aeiou]y$/.test(name)) return name.replace(/y$/, 'ies');
  return /(s|sh|ch|x|z)$/.test(name) ? `${name}es` : `${name}s`;
}

export function createNames(service: string, entity: string): Names {
  const pairs = [
    ...pairsOf(SAMPLE_SERVICE, service),
    ...pairsOf(pluralOf(SAMPLE_ENTITY), pluralOf(entity)),
    ...pairsOf(SAMPLE_ENTITY, entity),
  ];
  const forms = new Map(pairs);
  const samples = [...forms.keys()].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(`(?:\\b(an?|An?)(\\s+))?(${samples.join('|')})`, 'g');
  const substitute = (text: string): string =>
    text.replaceAll(pattern, (_, article: string | undefined, space: string, sample: string) => {
      const replaced = forms.get(sample)!;
      return article === undefined ? replaced : `${articleFor(replaced, article)}${space}${replaced}`;
    });
  return { service, entity, substitute };
}

function articleFor(word: string, article: string): string {
  return `${article[0]}${/^[aeio]/i.test(word) ? 'n' : ''}`;
}

function pairsOf(sample: string, name: string): [string, string][] {
  const from = formsOf(sample);
  const to = formsOf(name);
  return from.map((form, index) => [form, to[index]]);
}

/** kebab, snake, constant, Pascal, camel, flat, words, sentence */
function formsOf(kebab: string): string[] {
  const words = kebab.split('-');
  const pascal = words.map(capital).join('');
  return [
    kebab,
    words.join('_'),
    words.join('_').toUpperCase(),
    pascal,
    pascal[0].toLowerCase() + pascal.slice(1),
    words.join(''),
    words.join(' '),
    capital(words.join(' ')),
  ];
}

const capital = (word: string): string => word[0].toUpperCase() + word.slice(1);

/**
 * Identifiers of different meaning that a substitution would make the same, in one file of code: the first of them.
 * Words in comments and texts do not count.
 */
export function collisionIn(code: string, names: Names): string | undefined {
  const bare = code
    .replaceAll(/\/\*[\s\S]*?\*\/|(^|\s)(?:\/\/|#)[^\n]*/g, ' ')
    .replaceAll(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, ' ')
    // Of a template literal, what is computed.
    .replaceAll(/`(?:[^`\\]|\\.)*`/g, (literal) => (literal.match(/\$\{[^}]*\}/g) ?? []).join(' '));
  const identifiers = new Set(bare.match(/[A-Za-z_$][\w$]*/g) ?? []);
  const kept = new Set<string>();
  const made = new Map<string, string>();
  for (const identifier of identifiers) {
    const substituted = names.substitute(identifier);
    if (substituted === identifier) kept.add(identifier);
    else {
      // `sales_orders` and `salesOrders` are the same thing in two places: a column, a variable.
      const meant = identifier.replaceAll('_', '').toLowerCase();
      if ((made.get(substituted) ?? meant) !== meant) return substituted;
      made.set(substituted, meant);
    }
  }
  return [...made.keys()].find((identifier) => kept.has(identifier) || RESERVED.has(identifier));
}

/** `did you mean 'x'? ` or nothing. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const near = nearest(word, candidates);
  return near === undefined ? '' : `did you mean '${near}'? `;
}
