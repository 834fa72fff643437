import { type FieldViolation, invalidArgument } from './errors.ts';
import type { CreateSalesOrderRequest__Output as CreateRequest } from './gen/order_desk/v1/CreateSalesOrderRequest.ts';
import type { LineItem__Output as LineItem } from './gen/order_desk/v1/LineItem.ts';
import type { ListSalesOrdersRequest__Output as ListRequest } from './gen/order_desk/v1/ListSalesOrdersRequest.ts';
import type { SalesOrderStatus__Output as Status } from './gen/order_desk/v1/SalesOrderStatus.ts';
import type { UpdateSalesOrderRequest__Output as UpdateRequest } from './gen/order_desk/v1/UpdateSalesOrderRequest.ts';
import { REQUESTABLE } from './status.ts';

const MOST_ITEMS = 100;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Every violation, not only the first. */
export function violationsOfCreate({ idempotencyKey, items }: CreateRequest): FieldViolation[] {
  const found: FieldViolation[] = [];
  if (idempotencyKey === '') found.push(violation('idempotency_key', 'must not be empty'));
  if (idempotencyKey.length > 200) found.push(violation('idempotency_key', 'must have at most 200 characters'));
  if (items.length === 0) found.push(violation('items', 'must not be empty'));
  if (items.length > MOST_ITEMS) found.push(violation('items', `must be at most ${MOST_ITEMS}`));
  items.forEach((item, index) => {
    found.push(...violationsOfItem(item, `items[${index}]`));
  });
  if (new Set(items.map(({ unitPrice }) => unitPrice?.currency)).size > 1) {
    found.push(violation('items', 'must all be in one currency'));
  }
  return found;
}

function violationsOfItem({ sku, quantity, unitPrice }: LineItem, field: string): FieldViolation[] {
  const found: FieldViolation[] = [];
  if (sku === '' || sku.length > 100) found.push(violation(`${field}.sku`, 'must have 1 to 100 characters'));
  if (quantity < 1 || quantity > 1_000) found.push(violation(`${field}.quantity`, 'must be from 1 to 1000'));
  if (!unitPrice) return [...found, violation(`${field}.unit_price`, 'must be set')];
  if (!/^\d{1,12}$/.test(unitPrice.amount)) {
    found.push(violation(`${field}.unit_price.amount`, 'must be from 0 to 10^12 - 1'));
  }
  if (!/^[A-Z]{3}$/.test(unitPrice.currency)) {
    found.push(violation(`${field}.unit_price.currency`, 'must be a code of ISO 4217, like EUR'));
  }
  return found;
}

/** @throws CallError INVALID_ARGUMENT */
export function checkCreate(request: CreateRequest): void {
  const found = violationsOfCreate(request);
  if (found.length > 0) throw invalidArgument(found);
}

/** @throws CallError INVALID_ARGUMENT */
export function checkId(id: string): void {
  if (!UUID.test(id)) throw invalidArgument([violation('id', 'must be a UUID')]);
}

/** @throws CallError INVALID_ARGUMENT */
export function checkUpdate({ id, status }: UpdateRequest): Status {
  checkId(id);
  if (REQUESTABLE.includes(status)) return status;
  throw invalidArgument([violation('status', `must be one of ${REQUESTABLE.join(', ')}`)]);
}

/** @throws CallError INVALID_ARGUMENT */
export function checkList({ limit }: ListRequest): void {
  if (limit < 0) throw invalidArgument([violation('limit', 'must not be negative')]);
}

const violation = (field: string, description: string): FieldViolation => ({ field, description });
