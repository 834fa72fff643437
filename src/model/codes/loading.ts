import type { CodeTable } from '../errors.ts';

/** C0xx: finding and evaluating `mesh.config.ts`. */
export const loadingCodes = {
  'MESH-C001': {
    title: 'no mesh.config.ts found',
    explanation: `mesh looks for mesh.config.ts in the working directory and then in each directory above it.
Run the command inside your project, name the file with --config FILE, or write a first one with \`mesh init\`.`,
  },
  'MESH-C002': {
    title: 'the configuration is not valid TypeScript',
    explanation: `mesh.config.ts, or a file it imports, cannot be parsed. The position is that of the first token that does not
fit; the mistake is often just before it: a missing comma, bracket or quote.
A running mesh keeps its last good configuration meanwhile.`,
  },
  'MESH-C003': {
    title: 'the configuration threw an error',
    explanation: `Evaluating mesh.config.ts, or a function in it, threw. The message is that of the error and the position is
where it was thrown. Typical: an environment variable that is not set, a file that is not there.
  const key = process.env.API_KEY ?? 'dev';   // instead of throwing when it is missing`,
  },
  'MESH-C004': {
    title: 'the configuration took too long',
    explanation: `Evaluating mesh.config.ts did not end in time: an endless loop, or an await of something that does not answer.
The configuration is data: leave slow work (downloads, database calls) to a task service, and let others depend on it:
  services: { seed: { command: 'node seed.js', task: true }, web: { dependsOn: { seed: 'completed' } } }`,
  },
  'MESH-C005': {
    title: 'a Promise that nobody awaited',
    explanation: `A value in the configuration is a Promise: the result of an async function without \`await\`. Only what
defineMesh gets may be asynchronous as a whole:
  export default defineMesh(async () => ({ version: 1, name: 'shop', services: await loadServices() }))`,
  },
  'MESH-C006': {
    title: 'a function that nobody called',
    explanation: `A value in the configuration is a function. Call it, so that its result stands there:
  services: { orders: makeOrders() }     // not: makeOrders
Only defineMesh itself takes a function, which returns the whole configuration.`,
  },
  'MESH-C007': {
    title: 'no configuration is exported',
    explanation: `mesh.config.ts must have a default export, an object:
  import { defineMesh } from 'localmesh';
  export default defineMesh({ version: 1, name: 'shop', services: {} });`,
  },
  'MESH-C008': {
    title: 'a value that is not plain data',
    explanation: `A configuration is what JSON can say: objects, lists, text, finite numbers, true, false. Not: Map, Set, Date, class
instances, symbols, bigint, NaN, Infinity, or an object that contains itself. Turn it into plain data:
  env: Object.fromEntries(map)`,
  },
  'MESH-C009': {
    title: 'a configuration of another version',
    explanation: `This version of mesh reads configurations with \`version: 1\`. A higher number was written for a newer mesh: update
the package localmesh in the project.`,
  },
  'MESH-C010': {
    title: 'a file of the configuration cannot be read',
    explanation: `mesh.config.ts, or something it imports, is missing or not readable, or a package it imports is not installed.
Check the spelling of the import and run \`npm install\`.`,
  },
  'MESH-C011': {
    title: 'a type error in the configuration',
    explanation: `The TypeScript compiler of your project objects to mesh.config.ts. mesh only warns: what counts is the value that the
file exports, which is checked on its own.`,
  },
} as const satisfies CodeTable<'C'>;
