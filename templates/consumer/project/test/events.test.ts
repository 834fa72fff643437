import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readEvent } from '../src/events.ts';
import { message } from './message.ts';

test('an event is read with its id, which all its deliveries have', () => {
  const event = readEvent(message({ headers: { id: 'e-1' } }));
  assert.equal(event?.id, 'e-1');
  assert.deepEqual(event?.total, { amount: 1250, currency: 'EUR' });
});

test('events of other types are none of ours', () => {
  assert.equal(readEvent(message({ headers: { type: 'SalesOrderShipped' } })), null);
});

test('what is not as it should be is refused, so that it ends among the dead letters', () => {
  assert.throws(() => readEvent(message({ headers: { id: '' } })), /`id`/);
  assert.throws(() => readEvent(message({ payload: null })), /amount/);
  assert.throws(() => readEvent(message({ payload: { total: { amount: 1, currency: 'euro' } } })), /currency/);
});
