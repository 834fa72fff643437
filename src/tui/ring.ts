/** The last so many values, in order of arrival. */
export interface Ring<T> {
  push(value: T): void;
  /** The same array until the next push. */
  values(): readonly T[];
  clear(): void;
}

export function createRing<T>(capacity: number): Ring<T> {
  let slots: T[] = [];
  let next = 0;
  let shown: readonly T[] | null = [];
  return {
    push(value) {
      if (slots.length < capacity) slots.push(value);
      else slots[next] = value;
      next = (next + 1) % capacity;
      shown = null;
    },
    values() {
      shown ??= slots.length < capacity ? slots.slice() : [...slots.slice(next), ...slots.slice(0, next)];
      return shown;
    },
    clear() {
      slots = [];
      next = 0;
      shown = null;
    },
  };
}
