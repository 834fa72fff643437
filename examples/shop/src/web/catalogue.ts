export interface Product {
  sku: string;
  name: string;
  picture: string;
  /** Minor units: 1290 is 12.90. */
  price: number;
}

export const currency = 'EUR';

export const catalogue: readonly Product[] = [
  { sku: 'FILTER-COFFEE', name: 'Filter coffee, 500 g', picture: '☕', price: 1290 },
  { sku: 'ESPRESSO-CUP', name: 'Espresso cup', picture: '🍵', price: 950 },
  { sku: 'GRINDER', name: 'Hand grinder', picture: '⚙️', price: 8900 },
  { sku: 'KETTLE', name: 'Swan-neck kettle', picture: '🫖', price: 6450 },
  { sku: 'LUCKY-13', name: 'Unlucky blend (payment is declined)', picture: '🐈‍⬛', price: 1313 },
  { sku: 'MOON-ROAST', name: 'Moon roast (sold out)', picture: '🌙', price: 4900 },
];
