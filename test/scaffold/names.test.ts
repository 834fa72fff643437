import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkName, collisionIn, createNames, pluralOf, singularOf } from '../../src/scaffold/names.ts';

const word = fc.stringMatching(/^[a-z][a-z0-9]{1,7}$/);
const name = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join('-'));

describe('names', () => {
  it('takes service names and refuses the rest with a name that would do', () => {
    expect(checkName('service', 'shopping-carts').ok).toBe(true);
    for (const bad of [
      '',
      'Orders',
      'a--b',
      '-a',
      'a-',
      '1a',
      'a_b',
      'ä',
      'a/b',
      '../x',
      'gateway',
      'class',
      'x'.repeat(41),
    ]) {
      const checked = checkName('service', bad);
      expect(checked, bad).toMatchObject({ ok: false, problems: [{ code: 'MESH-N151' }] });
    }
    const close = checkName('service', 'ShoppingCarts');
    expect(close).toMatchObject({ problems: [{ hint: 'write `shopping-carts`' }] });
  });

  it.each([
    ['orders', 'order'],
    ['categories', 'category'],
    ['boxes', 'box'],
    ['addresses', 'address'],
    ['inventory', 'inventory'],
    ['status', 'status'],
    ['shopping-carts', 'shopping-cart'],
  ])('%s is about a %s', (plural, singular) => {
    expect(singularOf(plural)).toBe(singular);
  });

  it('makes a plural that differs', () => {
    fc.assert(fc.property(name, (each) => pluralOf(each) !== each));
  });

  it('replaces every form of the sample names', () => {
    const names = createNames('billing', 'credit-note');
    const text =
      'order-desk order_desk ORDER_DESK OrderDesk orderDesk orderdeskdb; sales-order sales_orders SALES_ORDER_STATUS getSalesOrders salesOrder Sales orders, a sales order';
    expect(names.substitute(text)).toBe(
      'billing billing BILLING Billing billing billingdb; credit-note credit_notes CREDIT_NOTE_STATUS getCreditNotes creditNote Credit notes, a credit note',
    );
    expect(createNames('orders', 'order').substitute('A sales order, an order desk')).toBe('An order, an orders');
  });

  it('leaves nothing of the sample names, whatever replaces them', () => {
    const sample = 'OrderDesk order_desk orderDesk ORDER_DESK sales-orders SalesOrder salesorder';
    fc.assert(
      fc.property(name, name, (service, entity) => {
        fc.pre(!/order|sales|desk/.test(service + entity));
        expect(createNames(service, entity).substitute(sample)).not.toMatch(/order|sales/i);
      }),
    );
  });

  it('notices when two things would get one name', () => {
    const names = createNames('billing', 'money');
    expect(collisionIn('interface Money {}\ninterface SalesOrder {}', names)).toBe('Money');
    expect(collisionIn('// Money\nconst text = "Money"; interface SalesOrder {}', names)).toBeUndefined();
    expect(collisionIn('const orderDesk = 1; const salesOrders = [];', createNames('orders', 'order'))).toBe('orders');
    expect(collisionIn('const salesOrders = row.sales_orders;', createNames('orders', 'order'))).toBeUndefined();
  });
});
