import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mismatches } from '../src/json-schema.ts';
import { document } from '../src/openapi.ts';
import { createDispatch } from '../src/operations.ts';
import { Problem } from '../src/problem.ts';

const { schemas } = document.components;
const item = { sku: 'KETTLE', quantity: 2, unitPrice: { amount: 1250, currency: 'EUR' } };

test('each operation has an id of its own and says what it answers with', () => {
  const operations = Object.values(document.paths).flatMap((path) => Object.values(path));
  assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length);
  for (const { operationId, responses } of operations) {
    assert.ok(
      Object.keys(responses).some((status) => status.startsWith('2')),
      operationId,
    );
  }
});

test('parameters in paths are declared, and the other way round', () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    for (const { parameters = [] } of Object.values(operations)) {
      const declared = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
      assert.deepEqual(declared, inPath);
    }
  }
});

test('an operation without an implementation is noticed at the start', () => {
  assert.throws(() => createDispatch(document, {}), /is not implemented/);
});

test('a keyword that the validation does not know is noticed at the start', () => {
  const unknown = { ...document, components: { schemas: { ...schemas, Odd: { multipleOf: 2 } as object } } };
  assert.throws(() => createDispatch(unknown, {}), /multipleOf/);
});

test('every mismatch is found, with its place', () => {
  const value = { items: [item, { ...item, quantity: 0, colour: 'red' }, { sku: '', quantity: 1.5 }], more: 1 };
  assert.deepEqual(
    mismatches(value, schemas.NewSalesOrder, schemas).map(({ pointer, detail }) => `${pointer} ${detail}`),
    [
      '/items/1/quantity must be at least 1',
      '/items/1/colour is not known',
      '/items/2/unitPrice is missing',
      '/items/2/sku must not be empty',
      '/items/2/quantity must be a whole number',
      '/more is not known',
    ],
  );
  assert.deepEqual(mismatches({ items: [item] }, schemas.NewSalesOrder, schemas), []);
});

test('a problem is what the document says it is', () => {
  const { details } = new Problem(409, 'No.', { errors: [{ pointer: '/items', detail: 'is missing' }] });
  assert.deepEqual(mismatches(details, schemas.Problem, schemas), []);
});
