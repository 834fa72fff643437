import { createRequire } from 'node:module';
import path from 'node:path';
import type { parse, parseExpression } from '@babel/parser';

/** A node of the syntax tree, as far as looking for places needs it: every kind has other fields beside. */
export interface SyntaxNode {
  type: string;
  start: number;
  end: number;
  loc: { start: { line: number; column: number } };
  [field: string]: unknown;
}

/** What a name stands for in a part of the file. */
interface Declaration {
  name: string;
  /** Null: known, but not what for (a parameter, part of a destructuring). */
  value: SyntaxNode | null;
  /** The part of the file where the name is this one. */
  scope: SyntaxNode;
}

export type Import = { from: string /** `*`: the whole module. */; name: string };

export interface ParsedSource {
  file: string;
  /** What is exported by name, `default` among them. */
  exports: ReadonlyMap<string, SyntaxNode | Import>;
  /** Modules of `export * from`. */
  passedOn: readonly string[];
  imports: ReadonlyMap<string, Import>;
  /** The value of a name at a place, `unknown` where it is one that cannot be followed, undefined where it is none. */
  declared(name: string, at: SyntaxNode): SyntaxNode | 'unknown' | undefined;
}

interface Parser {
  parse: typeof parse;
  parseExpression: typeof parseExpression;
}

let parser: Parser | null = null;

/** Loaded when the first place is asked for: most loads have no problems. */
function babel(): Parser {
  parser ??= createRequire(import.meta.url)('@babel/parser') as Parser;
  return parser;
}

/** @returns null for text that is no TypeScript, JavaScript or JSON. */
export function parseSource(file: string, text: string): ParsedSource | null {
  try {
    if (path.extname(file) === '.json') return jsonSource(file, text);
    const jsx = /x$/.test(file) ? (['jsx'] as const) : [];
    const { program } = babel().parse(text, {
      sourceType: 'unambiguous',
      errorRecovery: true,
      allowReturnOutsideFunction: true,
      plugins: ['typescript', 'importAttributes', ...jsx],
    });
    return scriptSource(file, program as unknown as SyntaxNode);
  } catch {
    return null;
  }
}

function jsonSource(file: string, text: string): ParsedSource {
  const root = babel().parseExpression(text) as unknown as SyntaxNode;
  return { file, exports: new Map([['default', root]]), passedOn: [], imports: new Map(), declared: () => undefined };
}

function scriptSource(file: string, program: SyntaxNode): ParsedSource {
  const exports = new Map<string, SyntaxNode | Import>();
  const imports = new Map<string, Import>();
  const passedOn: string[] = [];
  for (const statement of nodes(program.body)) readModuleStatement(statement, exports, imports, passedOn);

  const declarations = new Map<string, Declaration[]>();
  collect(program, program, (declaration) => {
    const same = declarations.get(declaration.name);
    if (same === undefined) declarations.set(declaration.name, [declaration]);
    else same.push(declaration);
  });
  const declared = (name: string, at: SyntaxNode): SyntaxNode | 'unknown' | undefined => {
    let innermost: Declaration | undefined;
    for (const declaration of declarations.get(name) ?? []) {
      const { scope } = declaration;
      if (scope.start > at.start || scope.end < at.end) continue;
      if (innermost === undefined || scope.start > innermost.scope.start) innermost = declaration;
    }
    return innermost === undefined ? undefined : (innermost.value ?? 'unknown');
  };
  return { file, exports, passedOn, imports, declared };
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}

/** The nodes of a list, which may have holes. */
export const nodes = (value: unknown): SyntaxNode[] => (Array.isArray(value) ? value.filter(isNode) : []);

/** The name that an identifier or a text stands for. */
export function nameOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'Identifier') return node.name as string;
  if (node.type === 'StringLiteral') return node.value as string;
  return undefined;
}

function readModuleStatement(
  statement: SyntaxNode,
  exports: Map<string, SyntaxNode | Import>,
  imports: Map<string, Import>,
  passedOn: string[],
): void {
  const from = nameOf(statement.source);
  switch (statement.type) {
    case 'ImportDeclaration':
      for (const specifier of nodes(statement.specifiers)) {
        const local = nameOf(specifier.local);
        if (local === undefined || from === undefined) continue;
        const name = { ImportDefaultSpecifier: 'default', ImportNamespaceSpecifier: '*' }[specifier.type];
        imports.set(local, { from, name: name ?? nameOf(specifier.imported) ?? local });
      }
      return;
    case 'ExportDefaultDeclaration':
      if (isNode(statement.declaration)) exports.set('default', statement.declaration);
      return;
    case 'TSExportAssignment':
      if (isNode(statement.expression)) exports.set('default', statement.expression);
      return;
    case 'ExportAllDeclaration':
      if (from !== undefined) passedOn.push(from);
      return;
    case 'ExportNamedDeclaration':
      readNamedExports(statement, from, exports);
      return;
    case 'ExpressionStatement': {
      const assigned = moduleExports(statement.expression);
      if (assigned !== undefined) exports.set('default', assigned);
    }
  }
}

function readNamedExports(
  statement: SyntaxNode,
  from: string | undefined,
  exports: Map<string, SyntaxNode | Import>,
): void {
  const { declaration } = statement;
  if (isNode(declaration)) {
    if (declaration.type === 'FunctionDeclaration') exports.set(nameOf(declaration.id) ?? '', declaration);
    for (const { id, init } of nodes(declaration.declarations)) {
      const name = nameOf(id);
      if (name !== undefined && isNode(init)) exports.set(name, init);
    }
  }
  for (const specifier of nodes(statement.specifiers)) {
    const name = nameOf(specifier.exported);
    const local = nameOf(specifier.local);
    if (name === undefined) continue;
    if (from === undefined) exports.set(name, specifier.local as SyntaxNode);
    else exports.set(name, { from, name: specifier.type === 'ExportNamespaceSpecifier' ? '*' : (local ?? name) });
  }
}

/** `module.exports = value` */
function moduleExports(expression: unknown): SyntaxNode | undefined {
  if (!isNode(expression) || expression.type !== 'AssignmentExpression') return undefined;
  const { left, right } = expression;
  if (!isNode(left) || left.type !== 'MemberExpression') return undefined;
  const matches = nameOf(left.object) === 'module' && nameOf(left.property) === 'exports';
  return matches && isNode(right) ? right : undefined;
}

const isFunction = ({ type }: SyntaxNode): boolean => /Function|ObjectMethod|ClassMethod/.test(type);
const SCOPE = /^(?:BlockStatement|ForStatement|ForOfStatement|ForInStatement|SwitchStatement|CatchClause)$/;

function collect(node: SyntaxNode, scope: SyntaxNode, found: (declaration: Declaration) => void): void {
  const inner = isFunction(node) || SCOPE.test(node.type) ? node : scope;
  if (node.type === 'FunctionDeclaration') {
    const name = nameOf(node.id);
    if (name !== undefined) found({ name, value: node, scope });
  }
  if (isFunction(node)) {
    for (const parameter of nodes(node.params)) {
      for (const name of boundNames(parameter)) found({ name, value: null, scope: node });
    }
  }
  if (node.type === 'VariableDeclarator' && isNode(node.id)) {
    const name = nameOf(node.id);
    if (name !== undefined) found({ name, value: isNode(node.init) ? node.init : null, scope });
    else for (const bound of boundNames(node.id)) found({ name: bound, value: null, scope });
  }
  for (const field in node) {
    const child = node[field];
    if (field === 'loc' || typeof child !== 'object') continue;
    if (Array.isArray(child)) for (const item of nodes(child)) collect(item, inner, found);
    else if (isNode(child)) collect(child, inner, found);
  }
}

/** Names that a parameter or pattern declares. */
function boundNames(pattern: SyntaxNode): string[] {
  switch (pattern.type) {
    case 'Identifier':
      return [pattern.name as string];
    case 'AssignmentPattern':
      return isNode(pattern.left) ? boundNames(pattern.left) : [];
    case 'RestElement':
      return isNode(pattern.argument) ? boundNames(pattern.argument) : [];
    case 'ArrayPattern':
      return nodes(pattern.elements).flatMap(boundNames);
    case 'ObjectPattern':
      return nodes(pattern.properties).flatMap((property) =>
        isNode(property.value) ? boundNames(property.value) : boundNames(property),
      );
    default:
      return [];
  }
}
