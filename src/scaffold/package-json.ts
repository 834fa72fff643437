interface PackageJson {
  [field: string]: unknown;
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

/**
 * Two package.json files as one: scripts and dependencies of both; where both have one, that of the `first` or the
 * `later`. Indentation and the order of fields are those of the first.
 */
export function mergePackages(first: string, later: string, wins: 'first' | 'later'): string {
  const base = JSON.parse(first) as PackageJson;
  const added = JSON.parse(later) as PackageJson;
  const strongest = <T>(a: T, b: T): T => (wins === 'first' ? a : b);
  for (const [field, value] of Object.entries(added)) {
    const known = base[field];
    if (known === undefined) base[field] = value;
    else if (isRecord(known) && isRecord(value)) {
      const both = { ...strongest(value, known), ...strongest(known, value) };
      base[field] = /dependencies$/i.test(field) ? sorted(both) : inOrder(both, [known, value]);
    } else base[field] = strongest(known, value);
  }
  // What runs is not needed for development only.
  for (const name of Object.keys(base.dependencies ?? {})) delete base.devDependencies?.[name];
  const indent = /^([ \t]+)"/m.exec(first)?.[1] ?? '  ';
  return `${JSON.stringify(base, null, indent)}${first.endsWith('\n') ? '\n' : ''}`;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const sorted = (record: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));

function inOrder(record: Record<string, unknown>, orders: readonly Record<string, unknown>[]): Record<string, unknown> {
  const keys = new Set(orders.flatMap((order) => Object.keys(order)));
  return Object.fromEntries([...keys].map((key) => [key, record[key]]));
}
