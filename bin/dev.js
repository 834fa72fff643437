#!/usr/bin/env -S node --import tsx
await (await import('../src/runtime/client/main.ts')).main(
  process.argv.slice(2),
  new URL('../src', import.meta.url).pathname,
);
