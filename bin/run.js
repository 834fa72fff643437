#!/usr/bin/env node
await (await import('../dist/run.js')).main(process.argv.slice(2), new URL('../dist', import.meta.url).pathname);
