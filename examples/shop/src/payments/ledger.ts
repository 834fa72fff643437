import { keepRecent } from '../common/keep-recent.ts';
import { fail, ok, type Result } from '../common/result.ts';

export interface Money {
  /** Minor units as a string, as JSON has no 64-bit integers. */
  amount: string;
  currency: string;
}

export interface Charge {
  /** Names the charge: a second one with the same key is the same charge. */
  key: string;
  amount: Money;
  token: string;
}

export interface Payment {
  id: string;
  status: 'captured' | 'declined' | 'refunded';
  amount: Money;
  reason?: string;
}

export interface Ledger {
  /** Fails if the key was used for a different charge. */
  charge(charge: Charge): Result<Payment>;
  /** Whatever becomes of the charge with this key, it is not kept: one that comes later is declined. */
  refund(key: string): Payment | undefined;
  find(id: string): Payment | undefined;
}

const rememberedPayments = 10_000;

/** Payments in memory. The id of a payment is `pay_` and its key. */
export function createLedger(): Ledger {
  const payments = new Map<string, { charge: Charge; payment: Payment }>();
  const refundedUnseen = new Map<string, true>();

  return {
    charge(charge) {
      const known = payments.get(charge.key);
      if (known) return sameCharge(known.charge, charge) ? ok(known.payment) : fail('The key names another charge.');
      const reason = refundedUnseen.has(charge.key) ? 'refunded before it arrived' : reasonToDecline(charge);
      const payment: Payment = {
        id: `pay_${charge.key}`,
        status: reason ? 'declined' : 'captured',
        amount: charge.amount,
        ...(reason && { reason }),
      };
      payments.set(charge.key, { charge, payment });
      keepRecent(payments, rememberedPayments);
      return ok(payment);
    },

    refund(key) {
      const entry = payments.get(key);
      if (!entry) {
        refundedUnseen.set(key, true);
        keepRecent(refundedUnseen, rememberedPayments);
      } else if (entry.payment.status === 'captured') {
        entry.payment = { ...entry.payment, status: 'refunded' };
      }
      return payments.get(key)?.payment;
    },

    find: (id) => payments.get(id.replace(/^pay_/, ''))?.payment,
  };
}

/** So that a refusal can be seen at will: the card `tok_declined`, and every amount that ends in .13. */
function reasonToDecline({ token, amount }: Charge): string | undefined {
  if (token === 'tok_declined') return 'the card was declined';
  if (amount.amount.endsWith('13')) return 'the bank is superstitious about amounts ending in .13';
  return undefined;
}

function sameCharge(a: Charge, b: Charge): boolean {
  return a.token === b.token && a.amount.amount === b.amount.amount && a.amount.currency === b.amount.currency;
}
