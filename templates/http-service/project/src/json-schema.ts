/**
 * The part of JSON Schema 2020-12 that openapi.ts uses, so that the document that is served and the validation are one
 * thing. A keyword that is not known here is refused at the start, not ignored.
 */
export interface Schema {
  readonly $ref?: string;
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: 'uuid' | 'date-time';
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
}

export interface Mismatch {
  /** JSON Pointer. */
  readonly pointer: string;
  readonly detail: string;
}

export type Schemas = Readonly<Record<string, Schema>>;

const KNOWN = new Set(
  `$ref type description properties required additionalProperties items minItems maxItems minLength maxLength pattern format
enum minimum maximum default examples`.split(/\s+/),
);
const FORMATS = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
};
const REFERENCE = '#/components/schemas/';

/** Everything in which a value differs from its schema. */
export function mismatches(value: unknown, schema: Schema, schemas: Schemas, pointer = ''): Mismatch[] {
  if (schema.$ref !== undefined) return mismatches(value, resolve(schema.$ref, schemas), schemas, pointer);
  const wrong = (detail: string): Mismatch[] => [{ pointer, detail }];
  switch (schema.type) {
    case 'object':
      return isObject(value) ? inObject(value, schema, schemas, pointer) : wrong('must be an object');
    case 'array':
      return Array.isArray(value) ? inArray(value, schema, schemas, pointer) : wrong('must be a list');
    case 'string':
      return typeof value === 'string' ? inString(value, schema).flatMap(wrong) : wrong('must be text');
    case 'integer':
      return Number.isSafeInteger(value)
        ? inInteger(value as number, schema).flatMap(wrong)
        : wrong('must be a whole number');
    case 'boolean':
      return typeof value === 'boolean' ? [] : wrong('must be true or false');
    default:
      return [];
  }
}

/** @throws for a keyword that is not known, or a reference that leads nowhere */
export function checkSchema(schema: Schema, schemas: Schemas): void {
  for (const keyword of Object.keys(schema)) {
    if (!KNOWN.has(keyword)) throw new Error(`the schema keyword ${keyword} is not implemented in json-schema.ts`);
  }
  if (schema.$ref !== undefined) resolve(schema.$ref, schemas);
  if (schema.pattern !== undefined) new RegExp(schema.pattern, 'u');
  for (const inner of Object.values(schema.properties ?? {})) checkSchema(inner, schemas);
  if (schema.items !== undefined) checkSchema(schema.items, schemas);
}

function resolve(reference: string, schemas: Schemas): Schema {
  const schema = reference.startsWith(REFERENCE) ? schemas[reference.slice(REFERENCE.length)] : undefined;
  if (schema === undefined) throw new Error(`there is no schema ${reference}`);
  return schema;
}

function inObject(value: Record<string, unknown>, schema: Schema, schemas: Schemas, pointer: string): Mismatch[] {
  const { properties = {}, required = [], additionalProperties = true } = schema;
  const below = (name: string): string => `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const found = required
    .filter((name) => !Object.hasOwn(value, name))
    .map((name) => ({ pointer: below(name), detail: 'is missing' }));
  for (const [name, item] of Object.entries(value)) {
    if (Object.hasOwn(properties, name)) found.push(...mismatches(item, properties[name], schemas, below(name)));
    else if (!additionalProperties) found.push({ pointer: below(name), detail: 'is not known' });
  }
  return found;
}

function inArray(value: readonly unknown[], schema: Schema, schemas: Schemas, pointer: string): Mismatch[] {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, items = {} } = schema;
  if (value.length < minItems) return [{ pointer, detail: `must have at least ${minItems}` }];
  if (value.length > maxItems) return [{ pointer, detail: `must have at most ${maxItems}` }];
  return value.flatMap((item, index) => mismatches(item, items, schemas, `${pointer}/${index}`));
}

function inString(value: string, schema: Schema): string[] {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern, format, enum: choices } = schema;
  const length = [...value].length;
  if (length < minLength) return [minLength === 1 ? 'must not be empty' : `must have at least ${minLength} characters`];
  if (length > maxLength) return [`must have at most ${maxLength} characters`];
  if (choices !== undefined && !choices.includes(value)) return [`must be one of ${choices.join(', ')}`];
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) return [`must match ${pattern}`];
  if (format !== undefined && !FORMATS[format].test(value)) return [`must be a ${format}`];
  return [];
}

function inInteger(value: number, { minimum = -Infinity, maximum = Infinity }: Schema): string[] {
  if (value < minimum) return [`must be at least ${minimum}`];
  return value > maximum ? [`must be at most ${maximum}`] : [];
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
