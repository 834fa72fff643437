/** Forgets the oldest entries of a map, so that a service in memory does not grow for as long as it runs. */
export function keepRecent(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
