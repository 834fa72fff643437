import { bare, isNode, listOf, type Node, nameOf, type Source, walk } from './syntax.ts';

/** The object that the file exports as its configuration, or why it is not certain. */
export function findConfigObject(source: Source): Node | string {
  const exported = source.body.filter(({ type }) => type === 'ExportDefaultDeclaration');
  if (exported.length !== 1) return 'it has no default export that is written out';
  return resolveRoot(bare(exported[0].declaration), source);
}

function resolveRoot(value: Node | null, source: Source): Node | string {
  if (value === null) return 'it has no default export that is written out';
  if (value.type === 'CallExpression') {
    const callee = nameOf(value.callee);
    const [argument, ...more] = listOf(value.arguments);
    const known = callee !== undefined && isDefineMesh(callee, source);
    if (!known || argument === undefined || more.length > 0) return 'the configuration is what a function returns';
    return resolveObject(bare(argument), source, 'the configuration');
  }
  if (value.type === 'Identifier') {
    const init = initialOf(value.name as string, source);
    if (typeof init === 'string') return `the configuration ${init}`;
    return init.type === 'CallExpression'
      ? resolveRoot(init, source)
      : resolveObject(init, source, 'the configuration');
  }
  return resolveObject(value, source, 'the configuration');
}

/** `defineMesh` of localmesh, under whatever name: it returns what it gets. */
function isDefineMesh(callee: string, { body }: Source): boolean {
  return body.some(
    (statement) =>
      statement.type === 'ImportDeclaration' &&
      nameOf(statement.source) === 'localmesh' &&
      listOf(statement.specifiers).some(
        (specifier) => nameOf(specifier.local) === callee && nameOf(specifier.imported) === 'defineMesh',
      ),
  );
}

function resolveObject(value: Node | null, source: Source, what: string): Node | string {
  if (value?.type === 'Identifier') {
    const init = initialOf(value.name as string, source);
    return typeof init === 'string' ? `${what} ${init}` : resolveObject(init, source, what);
  }
  if (value?.type === 'ObjectExpression') return value;
  if (value !== null && /Function/.test(value.type)) return `${what} is what a function returns`;
  return `${what} is computed`;
}

/** What a constant of this file stands for, if the one place that uses it is the one we came from. */
function initialOf(name: string, source: Source): Node | string {
  let declarator: Node | undefined;
  let declarations = 0;
  /** By place: `{ services }` is one use, as key and as value. */
  const uses = new Set<number>();
  for (const statement of source.body) {
    const declaration = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    if (!isNode(declaration) || declaration.type !== 'VariableDeclaration' || declaration.kind !== 'const') continue;
    for (const candidate of listOf(declaration.declarations)) if (nameOf(candidate.id) === name) declarator = candidate;
  }
  for (const statement of source.body) {
    walk(statement, (node) => {
      if (node.type === 'VariableDeclarator' && nameOf(node.id) === name) declarations++;
      if (node.type === 'Identifier' && node.name === name) uses.add(node.start);
    });
  }
  const init = bare(declarator?.init);
  if (init === null) return 'comes from elsewhere';
  // Declared once, used once: nothing else can see or change it.
  return declarations === 1 && uses.size === 2 ? init : 'is used in several places';
}

/**
 * The object at a property, null where there is no such property, or why it is not certain.
 * @param what of the configuration, for the reason
 */
export function findMember(object: Node, key: string, source: Source): Node | null | string {
  const reason = unsafe(object, 'the configuration');
  if (reason !== null) return reason;
  const found = listOf(object.properties).filter((property) => keyOf(property) === key);
  if (found.length === 0) return null;
  if (found.length > 1) return `\`${key}\` is there twice`;
  const [property] = found;
  if (property.type !== 'ObjectProperty') return `\`${key}\` is what a function returns`;
  const member = resolveObject(bare(property.value), source, `\`${key}\``);
  if (typeof member === 'string') return member;
  return unsafe(member, `\`${key}\``) ?? member;
}

/** Spread and computed keys: what is in the object cannot be seen in it. */
function unsafe(object: Node, what: string): string | null {
  for (const property of listOf(object.properties)) {
    if (property.type === 'SpreadElement') return `${what} has something spread into it`;
    if (property.computed === true) return `${what} has a computed key`;
  }
  return null;
}

export function keyOf(property: Node): string | undefined {
  return property.computed === true ? undefined : (nameOf(property.key) ?? numberKey(property.key));
}

const numberKey = (key: unknown): string | undefined =>
  isNode(key) && key.type === 'NumericLiteral' ? String(key.value) : undefined;
