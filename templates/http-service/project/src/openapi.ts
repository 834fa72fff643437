import type { Schema } from './json-schema.ts';

/** The API. It is served at /openapi.json, routes requests and validates them: nothing else says what is allowed. */
export interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Partial<Record<Method, Operation>>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
export type Method = (typeof METHODS)[number];

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: {
    readonly required: true;
    readonly content: { readonly 'application/json': { readonly schema: Schema } };
  };
  readonly responses: Readonly<Record<string, Response>>;
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Schema;
}

interface Response {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly schema: Schema }>>;
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const json = (description: string, schema: string): Response => ({
  description,
  content: { 'application/json': { schema: ref(schema) } },
});
const problem = (description: string): Response => ({
  description,
  content: { 'application/problem+json': { schema: ref('Problem') } },
});
const withETag = (response: Response): Response => ({ ...response, headers: { etag: { schema: { type: 'string' } } } });
const body = (schema: string): Operation['requestBody'] => ({
  required: true,
  content: { 'application/json': { schema: ref(schema) } },
});

const ID: Parameter = { name: 'id', in: 'path', required: true, schema: { type: 'string', format: 'uuid' } };
const STATUSES = ['pending', 'confirmed', 'shipped', 'delivered', 'cancelled'];

export const document: OpenApi = {
  openapi: '3.1.0',
  info: { title: 'order-desk', version: '1.0.0' },
  paths: {
    '/sales-orders': {
      get: {
        operationId: 'listSalesOrders',
        summary: 'Newest first, in pages.',
        parameters: [
          { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 200, default: 50 } },
          {
            name: 'after',
            in: 'query',
            description: '`next` of the page before',
            schema: { type: 'string', maxLength: 200 },
          },
          { name: 'status', in: 'query', schema: { type: 'string', enum: STATUSES } },
        ],
        responses: { 200: json('A page.', 'SalesOrderPage'), 400: problem('The request is not valid.') },
      },
      post: {
        operationId: 'createSalesOrder',
        summary: 'Creates one, once for each idempotency key.',
        parameters: [
          {
            name: 'idempotency-key',
            in: 'header',
            required: true,
            description: 'A second request with the same key and body gets the answer of the first. Kept for a day.',
            schema: { type: 'string', minLength: 1, maxLength: 200 },
          },
        ],
        requestBody: body('NewSalesOrder'),
        responses: {
          201: withETag(json('Created.', 'SalesOrder')),
          200: withETag(json('It had been created with this key before.', 'SalesOrder')),
          400: problem('The request is not valid.'),
          422: problem('The key was used for something else.'),
        },
      },
    },
    '/sales-orders/{id}': {
      get: {
        operationId: 'getSalesOrder',
        summary: 'One, as it is now.',
        parameters: [ID],
        responses: { 200: withETag(json('It.', 'SalesOrder')), 404: problem('There is none.') },
      },
      patch: {
        operationId: 'updateSalesOrder',
        summary: 'Moves it to another status.',
        parameters: [
          ID,
          {
            name: 'if-match',
            in: 'header',
            description: 'Only if it still is at this ETag.',
            schema: { type: 'string' },
          },
        ],
        requestBody: body('SalesOrderChange'),
        responses: {
          200: withETag(json('As it is now.', 'SalesOrder')),
          400: problem('The request is not valid.'),
          404: problem('There is none.'),
          409: problem('The status may not follow the present one.'),
          412: problem('It has changed since.'),
        },
      },
    },
  },
  components: {
    schemas: {
      Money: {
        type: 'object',
        required: ['amount', 'currency'],
        additionalProperties: false,
        properties: {
          amount: {
            type: 'integer',
            minimum: 0,
            maximum: 999_999_999_999,
            description: 'in minor units: 1250 is 12.50',
          },
          currency: { type: 'string', pattern: '^[A-Z]{3}$', description: 'ISO 4217' },
        },
      },
      LineItem: {
        type: 'object',
        required: ['sku', 'quantity', 'unitPrice'],
        additionalProperties: false,
        properties: {
          sku: { type: 'string', minLength: 1, maxLength: 100 },
          quantity: { type: 'integer', minimum: 1, maximum: 1000 },
          unitPrice: ref('Money'),
        },
      },
      NewSalesOrder: {
        type: 'object',
        required: ['items'],
        additionalProperties: false,
        properties: { items: { type: 'array', minItems: 1, maxItems: 100, items: ref('LineItem') } },
      },
      SalesOrderChange: {
        type: 'object',
        required: ['status'],
        additionalProperties: false,
        properties: { status: { type: 'string', enum: STATUSES.slice(1) } },
      },
      SalesOrder: {
        type: 'object',
        required: ['id', 'status', 'items', 'total', 'createdAt', 'updatedAt'],
        properties: {
          id: { type: 'string', format: 'uuid' },
          status: { type: 'string', enum: STATUSES },
          items: { type: 'array', items: ref('LineItem') },
          total: ref('Money'),
          createdAt: { type: 'string', format: 'date-time' },
          updatedAt: { type: 'string', format: 'date-time' },
        },
      },
      SalesOrderPage: {
        type: 'object',
        required: ['salesOrders'],
        properties: {
          salesOrders: { type: 'array', items: ref('SalesOrder') },
          next: { type: 'string', description: 'where the next page begins; absent on the last' },
        },
      },
      Problem: {
        type: 'object',
        description: 'RFC 9457',
        required: ['type', 'title', 'status'],
        properties: {
          type: { type: 'string' },
          title: { type: 'string' },
          status: { type: 'integer' },
          detail: { type: 'string' },
          errors: {
            type: 'array',
            items: {
              type: 'object',
              required: ['detail'],
              properties: { pointer: { type: 'string' }, parameter: { type: 'string' }, detail: { type: 'string' } },
            },
          },
        },
      },
    },
  },
};
