import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DrainWatch } from '../../src/proxy/drain-watch.ts';

describe('drain watch', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('reports at once, then every change, then nothing more', () => {
    const reports: [string, number, number][] = [];
    const watch = new DrainWatch((...report) => reports.push(report));
    let left = 3;
    watch.watch('app-1', 80, () => left);
    expect(reports).toEqual([['app-1', 80, 3]]);
    vi.advanceTimersByTime(100);
    expect(reports).toHaveLength(1);
    left = 1;
    vi.advanceTimersByTime(100);
    left = 0;
    vi.advanceTimersByTime(100);
    expect(reports.slice(1)).toEqual([
      ['app-1', 80, 1],
      ['app-1', 80, 0],
    ]);
    expect(vi.getTimerCount()).toBe(0);
    left = 5;
    vi.advanceTimersByTime(100);
    expect(reports).toHaveLength(3);
  });

  it('says nothing of what has nothing under way, and keeps several apart', () => {
    const reports: [string, number, number][] = [];
    const watch = new DrainWatch((...report) => reports.push(report));
    watch.watch('idle-1', 1, () => 0);
    expect([reports, vi.getTimerCount()]).toEqual([[], 0]);
    const left = { a: 1, b: 2 };
    watch.watch('app-1', 1, () => left.a);
    watch.watch('app-1', 2, () => left.b);
    left.a = 0;
    vi.advanceTimersByTime(100);
    left.b = 0;
    vi.advanceTimersByTime(100);
    expect(reports).toEqual([
      ['app-1', 1, 1],
      ['app-1', 2, 2],
      ['app-1', 1, 0],
      ['app-1', 2, 0],
    ]);
  });

  it('stops when it is closed', () => {
    const watch = new DrainWatch(() => {});
    watch.watch('app-1', 80, () => 1);
    watch.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
