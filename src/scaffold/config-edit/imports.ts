import type { Insertion } from './edit-config.ts';
import type { CodeStyle } from './print-value.ts';
import { afterTrivia, endOfLineComments, listOf, type Node, nameOf, type Source, walk } from './syntax.ts';

export interface ImportEdit {
  readonly insertions: readonly Insertion[];
  /** Under which name the file knows what localmesh exports as `call`. */
  local(call: string): string;
}

/** Makes names of 'localmesh' known in the file, or says why not. */
export function importNames(source: Source, calls: readonly string[], style: CodeStyle): ImportEdit | string {
  const locals = new Map<string, string>();
  const declarations = source.body.filter(({ type }) => type === 'ImportDeclaration');
  const ours = declarations.filter(
    (statement) => nameOf(statement.source) === 'localmesh' && statement.importKind !== 'type',
  );
  for (const specifier of ours.flatMap((statement) => listOf(statement.specifiers))) {
    const name = nameOf(specifier.imported);
    if (name !== undefined && specifier.importKind !== 'type') locals.set(name, nameOf(specifier.local)!);
  }
  const needed = calls.filter((call) => !locals.has(call));
  if (needed.length === 0) return { insertions: [], local: (call) => locals.get(call)! };

  const used = new Set<string>();
  for (const statement of source.body) {
    walk(statement, (node) => {
      if (node.type === 'Identifier') used.add(node.name as string);
    });
  }
  const specifiers = needed.map((call) => {
    const local = used.has(call) ? freeName(call, used) : call;
    locals.set(call, local);
    return local === call ? call : `${call} as ${local}`;
  });
  const insertion = into(ours, specifiers, source, style) ?? newLine(declarations, specifiers, source, style);
  return { insertions: [insertion], local: (call) => locals.get(call)! };
}

function freeName(call: string, used: ReadonlySet<string>): string {
  for (let number = 1; ; number++) {
    const name = `${call}Resource${number === 1 ? '' : number}`;
    if (!used.has(name)) return name;
  }
}

/** Into the braces of an import of ours that has some names in them. */
function into(
  ours: readonly Node[],
  specifiers: readonly string[],
  source: Source,
  { newline }: CodeStyle,
): Insertion | null {
  for (const statement of ours) {
    const last = listOf(statement.specifiers).at(-1);
    if (last?.type !== 'ImportSpecifier') continue;
    const multiline = source.text.slice(statement.start, last.start).includes('\n');
    const indent = multiline ? `${newline}${/[ \t]*$/.exec(source.text.slice(0, last.start))![0]}` : ' ';
    return { at: last.end, text: specifiers.map((specifier) => `,${indent}${specifier}`).join('') };
  }
  return null;
}

function newLine(
  declarations: readonly Node[],
  specifiers: readonly string[],
  source: Source,
  { quote, semicolon, newline }: CodeStyle,
): Insertion {
  const line = `import { ${specifiers.join(', ')} } from ${quote}localmesh${quote}${semicolon}`;
  const last = declarations.at(-1);
  if (last !== undefined) return { at: endOfLineComments(source, last.end, source.text.length), text: newline + line };
  // Before the first statement, after what the file says about itself.
  const start = source.body[0]?.start ?? afterTrivia(source, 0);
  return { at: start, text: line + newline + newline };
}
