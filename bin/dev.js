#!/usr/bin/env -S node --import tsx
import { main } from '../src/runtime/client/main.ts';

main(process.argv.slice(2), `${import.meta.dirname}/../src`);
