import { keepRecent } from '../common/keep-recent.ts';
import { fail, ok, type Result } from '../common/result.ts';

export interface Line {
  sku: string;
  quantity: number;
}

export type Shortage = { kind: 'unknown-sku' | 'out-of-stock'; detail: string };

const fullShelf: Readonly<Record<string, number>> = {
  'ESPRESSO-CUP': 120,
  'FILTER-COFFEE': 200,
  GRINDER: 40,
  KETTLE: 40,
  'LUCKY-13': 60,
  'MOON-ROAST': 0,
};
const reorderBelow = 20;
const rememberedReservations = 10_000;

/** The shelf of one instance. (In production: a table that all instances share.) */
export interface Stock {
  available(sku: string): number | undefined;
  list(): { sku: string; available: number }[];
  /** All lines or none. A second call with the same id changes nothing. */
  reserve(id: string, lines: Line[]): Result<void, Shortage>;
  /** Puts back what was reserved; false if there was no such reservation, or it is already back. */
  release(id: string): boolean;
  /** The supplier comes by and fills up what runs low. */
  restock(): void;
}

export function createStock(): Stock {
  const shelf = new Map(Object.entries(fullShelf));
  const reservations = new Map<string, Line[]>();

  return {
    available: (sku) => shelf.get(sku),
    list: () => [...shelf].map(([sku, available]) => ({ sku, available })),

    reserve(id, lines) {
      if (reservations.has(id)) return ok(undefined);
      const wanted = totals(lines);
      for (const [sku, quantity] of wanted) {
        const available = shelf.get(sku);
        if (available === undefined) return fail({ kind: 'unknown-sku', detail: `There is no ${sku}.` });
        if (available < quantity) {
          return fail({ kind: 'out-of-stock', detail: `${quantity} of ${sku} wanted, ${available} left.` });
        }
      }
      for (const [sku, quantity] of wanted) shelf.set(sku, shelf.get(sku)! - quantity);
      reservations.set(id, lines);
      keepRecent(reservations, rememberedReservations);
      return ok(undefined);
    },

    release(id) {
      for (const { sku, quantity } of reservations.get(id) ?? []) shelf.set(sku, shelf.get(sku)! + quantity);
      return reservations.delete(id);
    },

    restock() {
      for (const [sku, available] of shelf) {
        if (available < reorderBelow) shelf.set(sku, Math.max(available, fullShelf[sku]));
      }
    },
  };
}

/** One entry per SKU, however many lines name it. */
function totals(lines: Line[]): Map<string, number> {
  const sums = new Map<string, number>();
  for (const { sku, quantity } of lines) sums.set(sku, (sums.get(sku) ?? 0) + quantity);
  return sums;
}
