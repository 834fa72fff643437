#!/usr/bin/env node
import module from 'node:module';

module.enableCompileCache?.();
import('../dist/run.js').then(({ main }) => main(process.argv.slice(2), `${import.meta.dirname}/../dist`));
