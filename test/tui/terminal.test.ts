import { EventEmitter } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { createScreen } from '../../src/tui/terminal.ts';

class FakeOutput extends EventEmitter {
  columns = 80;
  rows = 24;
  accepts = true;
  written = '';
  write(text: string): boolean {
    this.written += text;
    return this.accepts;
  }
  take(): string {
    const { written } = this;
    this.written = '';
    return written;
  }
}

function opened() {
  let nowMs = 0;
  const output = new FakeOutput();
  const screen = createScreen(output, () => nowMs);
  screen.enter();
  output.take();
  return { output, screen, wait: (ms: number) => void (nowMs += ms) };
}

describe('the screen', () => {
  it('writes only rows that changed, each at its place', () => {
    const { output, screen, wait } = opened();
    screen.write('one\ntwo\nthree');
    expect(output.take()).toContain('\u001b[1;1Hone\u001b[K\u001b[2;1Htwo\u001b[K\u001b[3;1Hthree\u001b[K');
    wait(200);
    screen.write('one\nTWO');
    expect(output.take()).toBe('\u001b[?2026h\u001b[2;1HTWO\u001b[K\u001b[3;1H\u001b[K\u001b[?2026l');
    wait(200);
    screen.write('one\nTWO');
    expect(output.take()).toBe('');
    screen.leave();
  });

  it('draws ten times a second at most, the last frame in any case', () => {
    vi.useFakeTimers();
    try {
      const { output, screen, wait } = opened();
      screen.write('0');
      output.take();
      for (let frame = 1; frame <= 50; frame++) {
        wait(1);
        screen.write(String(frame));
      }
      expect(output.take()).toBe('');
      wait(60);
      vi.advanceTimersByTime(100);
      expect(output.take()).toContain('\u001b[1;1H50\u001b[K');
      screen.leave();
    } finally {
      vi.useRealTimers();
    }
  });

  it('draws everything anew at a new size, and never more rows than there are', () => {
    const { output, screen, wait } = opened();
    screen.write('one\ntwo\nthree\nfour\nfive');
    output.take();
    wait(200);
    output.rows = 4;
    output.emit('resize');
    const drawn = output.take();
    expect(drawn.startsWith('\u001b[2J\u001b[?2026h\u001b[1;1Hone')).toBe(true);
    expect(drawn.endsWith('\u001b[4;1Hfour\u001b[K\u001b[?2026l')).toBe(true);
    expect(screen.rows).toBe(4);
    screen.leave();
  });

  it('waits for a slow terminal, and then shows the last frame only', () => {
    const { output, screen, wait } = opened();
    output.accepts = false;
    screen.write('first');
    output.take();
    for (const frame of ['second', 'third']) {
      wait(200);
      screen.write(frame);
    }
    expect(output.take()).toBe('');
    output.accepts = true;
    output.emit('drain');
    expect(output.take()).toContain('third');
    screen.leave();
  });

  it('gives the terminal back once, with its cursor, and forgets its listeners', () => {
    const before = process.listenerCount('exit');
    const { output, screen } = opened();
    expect(process.listenerCount('exit')).toBe(before + 1);
    screen.leave();
    screen.leave();
    expect(output.take()).toBe('\u001b[?25h\u001b[?1049l');
    expect(process.listenerCount('exit')).toBe(before);
    expect(output.listenerCount('resize') + output.listenerCount('drain')).toBe(0);
    screen.enter();
    expect(output.take()).toContain('\u001b[?1049h');
    screen.leave();
  });
});
