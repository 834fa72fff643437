import path from 'node:path';
import { type PathSegment, parsePath } from '../../model/config-path.ts';
import type { Problem } from '../../model/result.ts';
import {
  type Import,
  isNode,
  nameOf,
  nodes,
  type ParsedSource,
  parseSource,
  type SyntaxNode,
} from './source-syntax.ts';

/** 1-based, columns in UTF-16 units, as editors count. */
interface SourceLocation {
  file: string;
  line: number;
  column: number;
}

/** Maps places in a configuration to places in the files it was loaded from. */
export interface ConfigSources {
  /** Text by absolute path, as it was loaded. */
  readonly files: ReadonlyMap<string, string>;
  /**
   * Where `services.orders.routes[0]` stands: the value, or its key. Where it is computed, the nearest part around it
   * that is written down; undefined only if the file has no recognisable export.
   */
  locate(configPath: string, aim?: 'key' | 'value'): SourceLocation | undefined;
  /** The problems with file, line and column added to those that have none, in the order of the files. */
  locateAll(problems: readonly Problem[]): Problem[];
}

/** Codes about a key rather than about the value beside it. */
const ABOUT_KEYS: ReadonlySet<string> = new Set(['MESH-C101', 'MESH-C111', 'MESH-C118']);
/** About a name: that of an entry, if what it names is an object, else the value itself is the name. */
const ABOUT_NAMES: ReadonlySet<string> = new Set(['MESH-C108', 'MESH-C219']);

/** @param file the configuration, absolute. Nothing is parsed before the first question. */
export function configSources(file: string, files: ReadonlyMap<string, string>): ConfigSources {
  const parsed = new Map<string, ParsedSource | null>();
  const locate = (configPath: string, aim: 'key' | 'value' | 'name' = 'value'): SourceLocation | undefined => {
    const place = findPlace({ files, parsed, steps: 0 }, file, parsePath(configPath));
    if (place === undefined) return undefined;
    const { key, value, complete } = place;
    // What is missing in an object has no key of its own.
    const wantsKey = complete && (aim === 'key' || (aim === 'name' && value.node.type === 'ObjectExpression'));
    return locationOf(wantsKey && key !== null ? key : value);
  };
  const located = (problem: Problem): Problem => {
    if (problem.line !== undefined || problem.path === undefined) return problem;
    const aim = ABOUT_KEYS.has(problem.code) ? 'key' : ABOUT_NAMES.has(problem.code) ? 'name' : 'value';
    return { ...problem, ...(locate(problem.path, aim) ?? { file }) };
  };
  const order = [file, ...files.keys()];
  return {
    files,
    locate,
    locateAll: (problems) =>
      problems
        .map(located)
        .sort(
          (a, b) =>
            order.indexOf(a.file ?? file) - order.indexOf(b.file ?? file) ||
            (a.line ?? 0) - (b.line ?? 0) ||
            (a.column ?? 0) - (b.column ?? 0),
        ),
  };
}

interface Place {
  node: SyntaxNode;
  source: ParsedSource;
}

interface FoundPlace {
  key: Place | null;
  value: Place;
  /** False: the nearest ancestor. */
  complete: boolean;
}

const locationOf = ({ node, source }: Place): SourceLocation => ({
  file: source.file,
  line: node.loc.start.line,
  column: node.loc.start.column + 1,
});

/** Steps after which a chain of names is taken for a circle. */
const MAX_STEPS = 1_000;

interface Search {
  readonly files: ReadonlyMap<string, string>;
  readonly parsed: Map<string, ParsedSource | null>;
  /** Taken so far. */
  steps: number;
}

function findPlace(search: Search, file: string, segments: readonly PathSegment[]): FoundPlace | undefined {
  const source = sourceOf(search, file);
  const root = source && exported(search, source, 'default');
  if (!root) return undefined;
  // The whole configuration: where it is written, not where the name is exported.
  let found: FoundPlace = { key: null, value: resultOf(search, root), complete: true };
  for (const segment of segments) {
    const next = childOf(search, found.value, segment);
    if (next === undefined) return { ...found, complete: false };
    found = { ...next, complete: true };
  }
  return found;
}

function sourceOf(search: Search, file: string): ParsedSource | null {
  let source = search.parsed.get(file);
  if (source === undefined) {
    const text = search.files.get(file);
    source = text === undefined ? null : parseSource(file, text);
    search.parsed.set(file, source);
  }
  return source;
}

/** What is exported may be a function that makes the configuration. */
function resultOf(search: Search, place: Place): Place {
  const literal = literalOf(search, place);
  return returned(search, literal) ?? literal;
}

/** Follows names, casts, calls and imports to where a value is written down; stays where that is not possible. */
function literalOf(search: Search, place: Place): Place {
  const next = ++search.steps < MAX_STEPS ? oneStep(search, place) : undefined;
  return next === undefined ? place : literalOf(search, next);
}

function oneStep(search: Search, place: Place): Place | undefined {
  const { node, source } = place;
  const at = (inner: unknown): Place | undefined => (isNode(inner) ? { node: inner, source } : undefined);
  switch (node.type) {
    case 'TSAsExpression':
    case 'TSSatisfiesExpression':
    case 'TSNonNullExpression':
    case 'TSTypeAssertion':
    case 'ParenthesizedExpression':
      return at(node.expression);
    case 'AwaitExpression':
      return at(node.argument);
    case 'Identifier':
      return named(search, node.name as string, place);
    case 'CallExpression':
      return called(search, place);
    case 'MemberExpression':
    case 'OptionalMemberExpression':
      return member(search, place);
    default:
      return undefined;
  }
}

function named(search: Search, name: string, { node, source }: Place): Place | undefined {
  const value = source.declared(name, node);
  if (value === 'unknown') return undefined;
  if (value !== undefined) return { node: value, source };
  const binding = source.imports.get(name);
  return binding === undefined ? undefined : imported(search, source, binding);
}

function imported(search: Search, source: ParsedSource, { from, name }: Import): Place | undefined {
  const target = resolveImport(search, source.file, from);
  // Of a whole module, a member is looked up where it is used.
  return target === null || name === '*' ? undefined : exported(search, target, name);
}

function exported(search: Search, source: ParsedSource, name: string): Place | undefined {
  if (++search.steps > MAX_STEPS) return undefined;
  const found = source.exports.get(name);
  if (found !== undefined)
    return 'from' in found && !isNode(found)
      ? imported(search, source, found as Import)
      : { node: found as SyntaxNode, source };
  // A JSON file exports its keys, too.
  const whole = path.extname(source.file) === '.json' ? source.exports.get('default') : undefined;
  if (isNode(whole)) return propertyOf(search, { node: whole, source }, name)?.value;
  for (const from of source.passedOn) {
    const target = resolveImport(search, source.file, from);
    const passed = target === null ? undefined : exported(search, target, name);
    if (passed !== undefined) return passed;
  }
  return undefined;
}

function resolveImport(search: Search, importer: string, specifier: string): ParsedSource | null {
  if (!specifier.startsWith('.')) return null;
  const target = path.resolve(path.dirname(importer), specifier);
  const bare = target.replace(/\.[cm]?js$/, '');
  const candidates = [
    target,
    `${bare}.ts`,
    `${bare}.mts`,
    `${bare}.js`,
    `${bare}.mjs`,
    `${bare}.json`,
    path.join(target, 'index.ts'),
    path.join(target, 'index.js'),
  ];
  const file = candidates.find((candidate) => search.files.has(candidate));
  return file === undefined ? null : sourceOf(search, file);
}

/** Of `defineMesh(value)` and `Object.freeze(value)` the argument; of a function of these files what it returns. */
function called(search: Search, { node, source }: Place): Place | undefined {
  const { callee } = node;
  const [argument] = nodes(node.arguments);
  if (!isNode(callee)) return undefined;
  const passesThrough =
    (callee.type === 'Identifier' && source.imports.get(callee.name as string)?.from === 'localmesh') ||
    (callee.type === 'MemberExpression' && nameOf(callee.object) === 'Object' && nameOf(callee.property) === 'freeze');
  if (passesThrough) return argument === undefined ? undefined : { node: argument, source };
  return returned(search, literalOf(search, { node: callee, source }));
}

function returned(search: Search, { node, source }: Place): Place | undefined {
  if (!/^(?:ArrowFunctionExpression|FunctionExpression|FunctionDeclaration|ObjectMethod)$/.test(node.type))
    return undefined;
  const { body } = node;
  if (!isNode(body)) return undefined;
  if (body.type !== 'BlockStatement') return literalOf(search, { node: body, source });
  const last = nodes(body.body).findLast(({ type }) => type === 'ReturnStatement');
  return isNode(last?.argument) ? literalOf(search, { node: last.argument, source }) : undefined;
}

function member(search: Search, { node, source }: Place): Place | undefined {
  const { object, property } = node;
  const name = node.computed ? literalKey(property) : nameOf(property);
  if (!isNode(object) || name === undefined) return undefined;
  const whole = object.type === 'Identifier' ? source.imports.get(object.name as string) : undefined;
  if (whole?.name === '*' && source.declared(object.name as string, object) === undefined) {
    const target = resolveImport(search, source.file, whole.from);
    return target === null ? undefined : exported(search, target, String(name));
  }
  return childOf(search, { node: object, source }, name)?.value;
}

function childOf(search: Search, parent: Place, segment: PathSegment): { key: Place | null; value: Place } | undefined {
  const place = literalOf(search, parent);
  switch (place.node.type) {
    case 'ObjectExpression':
      return propertyOf(search, place, String(segment));
    case 'ArrayExpression': {
      const value = elementOf(search, place, Number(segment));
      return value === undefined ? undefined : { key: null, value };
    }
    // Either side may be the one that was taken; the one that has the place is the better guess.
    case 'ConditionalExpression':
      return childOfOne(search, place, [place.node.consequent, place.node.alternate], segment);
    case 'LogicalExpression':
      return childOfOne(search, place, [place.node.left, place.node.right], segment);
    default:
      return undefined;
  }
}

function childOfOne(search: Search, { source }: Place, choices: readonly unknown[], segment: PathSegment) {
  for (const node of choices) {
    const found = isNode(node) ? childOf(search, { node, source }, segment) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function propertyOf(
  search: Search,
  { node, source }: Place,
  name: string,
): { key: Place | null; value: Place } | undefined {
  // Of several the last one counts.
  for (const property of nodes(node.properties).reverse()) {
    if (property.type === 'SpreadElement') {
      const spread = isNode(property.argument) ? childOf(search, { node: property.argument, source }, name) : undefined;
      if (spread !== undefined) return spread;
      continue;
    }
    const key = property.computed ? computedKey(search, property.key, source) : literalKey(property.key);
    if (String(key) !== name) continue;
    const value = isNode(property.value) ? property.value : property;
    return { key: { node: property.key as SyntaxNode, source }, value: { node: value, source } };
  }
  return undefined;
}

function computedKey(search: Search, key: unknown, source: ParsedSource): PathSegment | undefined {
  return isNode(key) ? literalKey(literalOf(search, { node: key, source }).node) : undefined;
}

function elementOf(search: Search, { node, source }: Place, index: number): Place | undefined {
  let position = 0;
  for (const element of Array.isArray(node.elements) ? (node.elements as unknown[]) : []) {
    if (isNode(element) && element.type === 'SpreadElement') {
      const spread = isNode(element.argument) ? literalOf(search, { node: element.argument, source }) : undefined;
      const length = spread && lengthOf(search, spread);
      if (spread === undefined || length === undefined) return undefined;
      if (index < position + length) return elementOf(search, spread, index - position);
      position += length;
    } else {
      if (position === index) return isNode(element) ? { node: element, source } : undefined;
      position++;
    }
  }
  return undefined;
}

/** Undefined: not known before it runs. */
function lengthOf(search: Search, { node, source }: Place): number | undefined {
  if (node.type !== 'ArrayExpression' || ++search.steps > MAX_STEPS) return undefined;
  let length = 0;
  for (const element of Array.isArray(node.elements) ? (node.elements as unknown[]) : []) {
    if (!isNode(element) || element.type !== 'SpreadElement') {
      length++;
      continue;
    }
    const inner = isNode(element.argument)
      ? lengthOf(search, literalOf(search, { node: element.argument, source }))
      : undefined;
    if (inner === undefined) return undefined;
    length += inner;
  }
  return length;
}

/** The key that is written as a name, text, number or plain template. */
function literalKey(node: unknown): PathSegment | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'NumericLiteral') return node.value as number;
  if (node.type === 'TemplateLiteral') {
    const [only, more] = nodes(node.quasis);
    return more === undefined ? (only.value as { cooked?: string }).cooked : undefined;
  }
  return nameOf(node);
}
