import { checkSchema, mismatches, type Schema } from './json-schema.ts';
import { METHODS, type Method, type OpenApi, type Operation, type Parameter } from './openapi.ts';
import { invalid, Problem, type Violation } from './problem.ts';

/** A request that is what the document says. */
export interface Input {
  /** By name, with defaults; integers as numbers. */
  readonly parameters: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body: unknown;
}

export interface Output {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Perform = (input: Input) => Promise<Output>;

export interface RawRequest {
  readonly method: string;
  readonly url: URL;
  header(name: string): string | undefined;
  /** Null: there is none. @throws Problem if it is too large or not JSON */
  body(): Promise<unknown>;
}

interface Route {
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly operations: Readonly<Partial<Record<Method, Operation>>>;
}

/**
 * Finds the operation of a request, checks the request against the document and performs it.
 * @throws Error here if the document is not sound or an operation of it is not implemented; Problem when performing
 */
export function createDispatch(document: OpenApi, performs: Readonly<Record<string, Perform>>) {
  const { schemas } = document.components;
  const routes = Object.entries(document.paths).map(([template, operations]): Route => {
    const names = [...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    return { pattern: new RegExp(`^${template.replaceAll(/\{\w+\}/g, '([^/]+)')}$`), names, operations };
  });
  for (const schema of Object.values(schemas)) checkSchema(schema, schemas);
  for (const operation of routes.flatMap(({ operations }) => Object.values(operations))) {
    if (performs[operation.operationId] === undefined) throw new Error(`${operation.operationId} is not implemented`);
    for (const { schema } of operation.parameters ?? []) checkSchema(schema, schemas);
  }
  const check = (value: unknown, schema: Schema) => mismatches(value, schema, schemas);

  return async (request: RawRequest): Promise<Output> => {
    const { route, values } = find(routes, request.url.pathname);
    const method = METHODS.find((each) => each === request.method.toLowerCase());
    const operation = method && route.operations[method];
    if (operation === undefined) {
      const allow = Object.keys(route.operations).join(', ').toUpperCase();
      throw new Problem(405, 'This method is not allowed here.', { detail: `allowed: ${allow}` }, { allow });
    }
    const errors: Violation[] = [];
    const parameters: Record<string, string | number | boolean | undefined> = {};
    for (const parameter of operation.parameters ?? []) {
      const raw = rawValue(parameter, request, values);
      const value = raw === undefined ? parameter.schema.default : typed(raw, parameter.schema);
      parameters[parameter.name] = value as string | number | boolean | undefined;
      if (value === undefined) {
        if (parameter.required) errors.push({ parameter: parameter.name, detail: 'is missing' });
      } else
        errors.push(...check(value, parameter.schema).map(({ detail }) => ({ parameter: parameter.name, detail })));
    }
    const body = operation.requestBody === undefined ? null : await request.body();
    if (operation.requestBody !== undefined) {
      errors.push(...check(body, operation.requestBody.content['application/json'].schema));
    }
    if (errors.length > 0) throw invalid(errors);
    return performs[operation.operationId]({ parameters, body });
  };
}

function find(routes: readonly Route[], pathname: string): { route: Route; values: Record<string, string> } {
  for (const route of routes) {
    const match = route.pattern.exec(pathname);
    if (match === null) continue;
    try {
      const values = match.slice(1).map(decodeURIComponent);
      return { route, values: Object.fromEntries(route.names.map((name, index) => [name, values[index]])) };
    } catch {
      break;
    }
  }
  throw new Problem(404, 'There is nothing here.', { detail: 'see /openapi.json' });
}

function rawValue(
  { name, in: place }: Parameter,
  request: RawRequest,
  values: Record<string, string>,
): string | undefined {
  if (place === 'path') return values[name];
  return place === 'query' ? (request.url.searchParams.get(name) ?? undefined) : request.header(name);
}

/** A text as its schema's type, if it is one. */
function typed(raw: string, { type }: Schema): unknown {
  if (type === 'integer') return /^-?\d{1,15}$/.test(raw) ? Number(raw) : raw;
  if (type === 'boolean') return raw === 'true' ? true : raw === 'false' ? false : raw;
  return raw;
}
