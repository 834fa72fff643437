import { createRequire } from 'node:module';
import type { parse } from '@babel/parser';

/** A node of the syntax tree, or a comment. */
export interface Node {
  type: string;
  start: number;
  end: number;
  [field: string]: unknown;
}

export interface Source {
  readonly text: string;
  readonly body: readonly Node[];
  readonly comments: readonly Node[];
}

let parser: typeof parse | null = null;

/** @returns null for text with a syntax error */
export function parseConfig(text: string): Source | null {
  parser ??= (createRequire(import.meta.url)('@babel/parser') as { parse: typeof parse }).parse;
  try {
    const file = parser(text, { sourceType: 'module', plugins: ['typescript', 'importAttributes'] }) as unknown as {
      program: { body: Node[] };
      comments: Node[];
    };
    return { text, body: file.program.body, comments: file.comments };
  } catch {
    return null;
  }
}

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

export const listOf = (value: unknown): Node[] => (Array.isArray(value) ? value.filter(isNode) : []);

/** The name that an identifier, a private part of an import or a text in quotes stands for. */
export function nameOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'Identifier') return node.name as string;
  if (node.type === 'StringLiteral') return node.value as string;
  return undefined;
}

/** Without what only types see: `x as const`, `x satisfies T`, `(x)`, `x!`. */
export function bare(node: unknown): Node | null {
  if (!isNode(node)) return null;
  const wrapped =
    /^(?:TSAsExpression|TSSatisfiesExpression|ParenthesizedExpression|TSNonNullExpression|TSTypeAssertion)$/;
  return wrapped.test(node.type) ? bare(node.expression) : node;
}

/** From `at` on, the first place that is neither white space nor comment. */
export function afterTrivia({ text, comments }: Source, at: number): number {
  for (let place = at; ; ) {
    while (place < text.length && /\s/.test(text[place])) place++;
    const comment = comments.find(({ start }) => start === place);
    if (comment === undefined) return place;
    place = comment.end;
  }
}

/** The white space that the line of `at` begins with. */
export function indentAt(text: string, at: number): string {
  const lineStart = text.lastIndexOf('\n', at - 1) + 1;
  return /^[ \t]*/.exec(text.slice(lineStart))![0];
}

/** The end of the comments that follow in the same line. */
export function endOfLineComments({ text, comments }: Source, at: number, limit: number): number {
  let end = at;
  for (;;) {
    let place = end;
    while (place < limit && (text[place] === ' ' || text[place] === '\t')) place++;
    const comment = comments.find(({ start }) => start === place);
    if (comment === undefined || comment.end > limit) return end;
    end = comment.end;
    if (comment.type === 'CommentLine') return end;
  }
}

/** Every node below one, itself included. */
export function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const field in node) {
    const child = node[field];
    if (field === 'loc' || typeof child !== 'object' || child === null) continue;
    for (const item of Array.isArray(child) ? listOf(child) : isNode(child) ? [child] : []) walk(item, visit);
  }
}
