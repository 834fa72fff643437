export interface GraphEdge {
  from: string;
  to: string;
}

export interface GraphRow<Edge extends GraphEdge> {
  /** What is drawn before the name: `│  └─▸ `. */
  branch: string;
  node: string;
  /** The call that leads here; null: nobody calls it. */
  edge: Edge | null;
  /** Its own calls are drawn where it stood first. */
  repeated: boolean;
}

/**
 * Who calls whom, drawn as a tree from those that nobody calls. A service with several callers stands below each of
 * them, its own calls below the first only, so that the drawing has one row for each edge, cycles included.
 * @param nodes all names, in the order in which they are to stand
 */
export function callGraph<Edge extends GraphEdge>(nodes: readonly string[], edges: readonly Edge[]): GraphRow<Edge>[] {
  const names = [...new Set([...nodes, ...edges.flatMap(({ from, to }) => [from, to])])];
  const order = new Map(names.map((name, index) => [name, index]));
  const callsOf = new Map<string, Edge[]>();
  for (const edge of edges) callsOf.set(edge.from, [...(callsOf.get(edge.from) ?? []), edge]);
  for (const calls of callsOf.values()) calls.sort((a, b) => order.get(a.to)! - order.get(b.to)!);
  const called = new Set(edges.filter(({ from, to }) => from !== to).map(({ to }) => to));
  const drawn = new Set<string>();
  const rows: GraphRow<Edge>[] = [];

  const descend = (name: string, prefix: string) => {
    drawn.add(name);
    const calls = callsOf.get(name) ?? [];
    calls.forEach((edge, index) => {
      const last = index === calls.length - 1;
      const repeated = drawn.has(edge.to) && callsOf.has(edge.to);
      rows.push({ branch: `${prefix}${last ? '└' : '├'}─▸ `, node: edge.to, edge, repeated });
      if (!drawn.has(edge.to)) descend(edge.to, `${prefix}${last ? ' ' : '│'}   `);
    });
  };
  const root = (name: string) => {
    if (drawn.has(name)) return;
    rows.push({ branch: '', node: name, edge: null, repeated: false });
    descend(name, '');
  };
  for (const name of names) if (!called.has(name) && callsOf.has(name)) root(name);
  // Only cycles are left, and those that talk to nobody.
  for (const name of names) if (callsOf.has(name)) root(name);
  for (const name of names) root(name);
  return rows;
}
