import { measureCompile } from './support/compile-cost.ts';
import { measureLookup } from './support/lookup-cost.ts';
import { median } from './support/mesh.ts';
import { QUICK } from './support/quick.ts';
import { type Bench, type Figure, ms } from './support/report.ts';

const SERVICES = 1_000;
const ROUTES = 10_000;
const COMPILE_ROUNDS = QUICK ? 3 : 9;
const LOOKUP_ROUNDS = QUICK ? 3 : 15;
const LOOKUP_CALLS = QUICK ? 50_000 : 500_000;
const SIZES = [1, 100, 10_000];

/** What a large configuration costs: until it is in force, and for every request. */
export const compileBench: Bench = async () => {
  const cost = measureCompile(SERVICES, ROUTES / SERVICES, COMPILE_ROUNDS);
  // A user meets the first compilation, in code that is not optimised yet: that one counts.
  const first = cost.resolve[0] + cost.compile[0];
  const figures: Figure[] = [
    {
      what: `validate, resolve and compile ${SERVICES.toLocaleString('en')} services, ${ROUTES.toLocaleString('en')} routes, first time`,
      value: `${ms(first)} (${ms(cost.resolve[0])} + ${ms(cost.compile[0])})`,
      goal: 'under 500 ms',
      met: first < 500,
    },
    {
      what: 'the same, median',
      value: `${ms(median(cost.resolve) + median(cost.compile))} (${ms(median(cost.resolve))} + ${ms(median(cost.compile))})`,
      goal: '',
      met: null,
    },
    {
      what: 'compile after one endpoint changed, and find what changed',
      value: `${ms(median(cost.endpoint) + median(cost.diff))} (first time ${ms(cost.endpoint[0] + cost.diff[0])})`,
      goal: '',
      met: null,
    },
    { what: 'compile after a save that changed nothing', value: ms(median(cost.same)), goal: '', met: null },
  ];
  const lookups = measureLookup(SIZES, LOOKUP_ROUNDS, LOOKUP_CALLS);
  const alone = lookups[0];
  for (const lookup of lookups) {
    const growth = lookup.otherHosts / alone.otherHosts;
    const last = lookup === lookups.at(-1);
    figures.push({
      what: `look-up of a route beside ${lookup.routes.toLocaleString('en')} of other hosts`,
      value: `${Math.round(lookup.otherHosts)} ns${lookup === alone ? '' : `, ${growth.toFixed(2)}x`}`,
      goal: last ? 'does not grow (within 10 %)' : '',
      met: last ? growth <= 1.1 : null,
    });
  }
  for (const lookup of lookups) {
    figures.push({
      what: `look-up in one table of ${lookup.routes.toLocaleString('en')} routes, each asked for in turn`,
      value: `${Math.round(lookup.oneTable)} ns`,
      goal: '',
      met: null,
    });
  }
  return {
    title: 'Compiling and looking up routes',
    note: `In one process, no sockets. Medians of ${COMPILE_ROUNDS} compilations and of ${LOOKUP_ROUNDS} rounds of ${LOOKUP_CALLS.toLocaleString('en')} look-ups; every route found is the right one.`,
    figures,
  };
};
