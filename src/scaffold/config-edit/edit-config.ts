import { problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import { findConfigObject, findMember, keyOf } from './find-object.ts';
import { type ImportEdit, importNames } from './imports.ts';
import { type CodeStyle, printBlock, printKey, printValue } from './print-value.ts';
import {
  afterTrivia,
  endOfLineComments,
  indentAt,
  listOf,
  type Node,
  parseConfig,
  type Source,
  walk,
} from './syntax.ts';

/** What a template adds to mesh.config.ts. */
export interface ConfigAddition {
  readonly resources: Readonly<Record<string, ResourceCall>>;
  /** Plain data. */
  readonly services: Readonly<Record<string, object>>;
}

/** `name: call(...arguments)`, the function from 'localmesh'. */
export interface ResourceCall {
  readonly call: string;
  readonly arguments: readonly unknown[];
}

/** Text put in at a place of the file; nothing is ever taken away but white space. */
export interface Insertion {
  readonly at: number;
  readonly text: string;
  /** White space after `at` that it replaces. */
  readonly until?: number;
}

const PLAIN_STYLE: CodeStyle = { quote: "'", indent: '  ', newline: '\n', trailingComma: true, semicolon: ';' };

/**
 * The file with the addition: everything that was there is still there, comments and formatting included.
 * @returns MESH-N156 with the lines to paste where the place is not certain, MESH-C002 for text that cannot be parsed
 */
export function editConfig(file: string, text: string, addition: ConfigAddition): Result<string> {
  const source = parseConfig(text);
  if (source === null) {
    return fail({ ...problem('MESH-C002', { hint: 'see `mesh validate`' }), file });
  }
  const refuse = (reason: string) =>
    fail({
      ...problem('MESH-N156', {
        message: `cannot add to it safely: ${reason}`,
        hint: `paste this into it:\n${configSnippet(addition)}`,
      }),
      file,
    });
  const root = findConfigObject(source);
  if (typeof root === 'string') return refuse(root);
  const style = styleOf(source);
  const calls = [...new Set(Object.values(addition.resources).map(({ call }) => call))];
  const imported = importNames(source, calls, style);
  if (typeof imported === 'string') return refuse(imported);

  const insertions = [...imported.insertions];
  const missing: [key: string, print: (level: string) => string][] = [];
  for (const [key, entries] of sectionsOf(addition, imported, style)) {
    if (entries.length === 0) continue;
    const member = findMember(root, key, source);
    if (typeof member === 'string') return refuse(member);
    if (member === null) {
      missing.push([key, (level) => printSection(entries, style, level)]);
      continue;
    }
    const taken = entries.find(([name]) => listOf(member.properties).some((property) => keyOf(property) === name));
    if (taken !== undefined) return refuse(`\`${key}\` has ${taken[0]} already`);
    insertions.push(...append(member, entries, source, style));
  }
  if (missing.length > 0) insertions.push(...append(root, missing, source, style));
  const edited = applied(text, insertions);
  return parseConfig(edited) === null ? refuse('the result would not be valid') : ok(edited);
}

/** The lines to paste, for a file that is not edited. */
export function configSnippet(addition: ConfigAddition): string {
  const calls = [...new Set(Object.values(addition.resources).map(({ call }) => call))];
  const noImports: ImportEdit = { insertions: [], local: (call) => call };
  const lines = calls.length === 0 ? [] : [`import { ${calls.join(', ')} } from 'localmesh';`];
  for (const [key, entries] of sectionsOf(addition, noImports, PLAIN_STYLE)) {
    if (entries.length > 0) lines.push(`${key}: ${printSection(entries, PLAIN_STYLE, '')},`);
  }
  return lines.join('\n');
}

type Entry = readonly [key: string, print: (level: string) => string];

function sectionsOf(addition: ConfigAddition, imported: ImportEdit, style: CodeStyle): [string, Entry[]][] {
  const resources = Object.entries(addition.resources).map(([name, { call, arguments: values }]): Entry => {
    const print = (level: string) => values.map((value) => printValue(value, style, level)).join(', ');
    return [name, (level) => `${imported.local(call)}(${print(level)})`];
  });
  const services = Object.entries(addition.services).map(([name, service]): Entry => {
    return [name, (level) => printBlock(service, style, level)];
  });
  return [
    ['resources', resources],
    ['services', services],
  ];
}

function printSection(entries: readonly Entry[], style: CodeStyle, level: string): string {
  const inner = level + style.indent;
  const lines = entries.map(([key, print]) => `${inner}${printKey(key, style)}: ${print(inner)}`);
  const end = style.trailingComma ? ',' : '';
  return `{${style.newline}${lines.join(`,${style.newline}`)}${end}${style.newline}${level}}`;
}

/** Puts entries at the end of an object, in lines of their own. */
function append(object: Node, entries: readonly Entry[], source: Source, style: CodeStyle): Insertion[] {
  const { text } = source;
  const { newline } = style;
  const properties = listOf(object.properties);
  const last = properties.at(-1);
  const outer = indentAt(text, object.start);
  const closing = object.end - 1;
  if (last === undefined) {
    const inner = outer + style.indent;
    const block = `${newline}${printed(entries, inner, style, newline)}${style.trailingComma ? ',' : ''}${newline}${outer}`;
    // A comment in an empty object stays in front.
    const from = endOfComments(source, object.start + 1, closing);
    return [{ at: from, until: closing, text: block }];
  }
  const multiline = text.slice(object.start, properties[0].start).includes('\n');
  const inner = multiline ? indentAt(text, properties[0].start) : outer + style.indent;
  const afterLast = afterTrivia(source, last.end);
  const hasComma = text[afterLast] === ',';
  const insertions: Insertion[] = [];
  if (!multiline) {
    const first = object.start + 1;
    const blanks = /^[ \t]*/.exec(text.slice(first))![0].length;
    insertions.push({ at: first, until: first + blanks, text: newline + inner });
  }
  if (!hasComma) insertions.push({ at: last.end, text: ',' });
  const from = endOfLineComments(source, hasComma ? afterLast + 1 : last.end, closing);
  const separator = multiline && separatedByBlankLines(properties, text) ? newline + newline : newline;
  const comma = (multiline ? hasComma : style.trailingComma) ? ',' : '';
  const rest = text.slice(from, closing);
  const tail = rest.includes('\n') ? '' : newline + outer;
  insertions.push({
    at: from,
    until: tail === '' ? from : from + /^[ \t]*/.exec(rest)![0].length,
    text: `${separator}${printed(entries, inner, style, separator)}${comma}${tail}`,
  });
  return insertions;
}

function printed(entries: readonly Entry[], inner: string, style: CodeStyle, separator: string): string {
  return entries.map(([key, print]) => `${inner}${printKey(key, style)}: ${print(inner)}`).join(`,${separator}`);
}

/** The end of the last comment before a closing bracket. */
function endOfComments({ comments }: Source, from: number, limit: number): number {
  return comments.filter(({ start, end }) => start >= from && end <= limit).at(-1)?.end ?? from;
}

function separatedByBlankLines(properties: readonly Node[], text: string): boolean {
  if (properties.length < 2) return false;
  return properties
    .slice(1)
    .every((property, index) => /\n[ \t]*\r?\n/.test(text.slice(properties[index].end, property.start)));
}

export function applied(text: string, insertions: readonly Insertion[]): string {
  let result = '';
  let from = 0;
  // In order of place, and at one place in the order they were made in.
  for (const { at, until, text: added } of [...insertions].sort((a, b) => a.at - b.at)) {
    result += text.slice(from, at) + added;
    from = until ?? at;
  }
  return result + text.slice(from);
}

function styleOf(source: Source): CodeStyle {
  const { text, body } = source;
  let single = 0;
  let double = 0;
  const steps = new Map<string, number>();
  let commas = 0;
  let bareEnds = 0;
  const look = (node: Node): void => {
    if (node.type === 'StringLiteral') text[node.start] === "'" ? single++ : double++;
    if (node.type !== 'ObjectExpression' && node.type !== 'ArrayExpression') return;
    const items = listOf(node.type === 'ObjectExpression' ? node.properties : node.elements);
    const last = items.at(-1);
    if (last === undefined || !text.slice(last.end, node.end).includes('\n')) return;
    if (text[afterTrivia(source, last.end)] === ',') commas++;
    else bareEnds++;
    const outer = indentAt(text, node.start);
    const inner = indentAt(text, last.start);
    if (!inner.startsWith(outer) || inner.length === outer.length) return;
    const step = inner.slice(outer.length);
    steps.set(step, (steps.get(step) ?? 0) + 1);
  };
  for (const statement of body) walk(statement, look);
  const imports = body.filter(({ type }) => type === 'ImportDeclaration' || type === 'ExportDefaultDeclaration');
  return {
    quote: double > single ? '"' : "'",
    indent: [...steps].sort((a, b) => b[1] - a[1])[0]?.[0] ?? '  ',
    newline: text.includes('\r\n') ? '\r\n' : '\n',
    trailingComma: bareEnds <= commas,
    semicolon: imports.length > 0 && imports.every(({ end }) => text[end - 1] !== ';') ? '' : ';',
  };
}
