import assert from 'node:assert/strict';
import { test } from 'node:test';
import { invalidArgument, violationsOf } from '../src/errors.ts';
import { before, isFinal } from '../src/status.ts';
import { violationsOfCreate } from '../src/validation.ts';

const item = { sku: 'KETTLE', quantity: 2, unitPrice: { amount: '1250', currency: 'EUR' } };

test('a valid request has no violations', () => {
  assert.deepEqual(violationsOfCreate({ idempotencyKey: 'k', items: [item] }), []);
});

test('all violations are found at once, each with its field', () => {
  const found = violationsOfCreate({
    idempotencyKey: '',
    items: [
      { ...item, quantity: 0 },
      { ...item, sku: '', unitPrice: { amount: '-1', currency: 'euro' } },
      { ...item, unitPrice: null },
    ],
  });
  assert.deepEqual(
    found.map(({ field }) => field),
    [
      'idempotency_key',
      'items[0].quantity',
      'items[1].sku',
      'items[1].unit_price.amount',
      'items[1].unit_price.currency',
      'items[2].unit_price',
      'items',
    ],
  );
});

test('violations survive the way over the wire', () => {
  const violations = [{ field: 'items[0].sku', description: 'must not be empty' }];
  assert.deepEqual(violationsOf(invalidArgument(violations)), violations);
  assert.deepEqual(violationsOf({}), []);
});

test('a final status is followed by none', () => {
  assert.equal(isFinal('SALES_ORDER_STATUS_CANCELLED'), true);
  assert.deepEqual(before('SALES_ORDER_STATUS_CANCELLED'), [
    'SALES_ORDER_STATUS_PENDING',
    'SALES_ORDER_STATUS_CONFIRMED',
  ]);
});
