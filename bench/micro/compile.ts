/**
 * Cost of resolving and compiling a configuration of 1,000 services with 10 routes each, and of compiling it again
 * after one endpoint changed. `npx tsx bench/micro/compile.ts [services] [routes] [rounds]`; medians of several rounds.
 */
import { measureCompile } from '../support/compile-cost.ts';
import { median } from '../support/mesh.ts';

const services = Number(process.argv[2] ?? 1_000);
const routes = Number(process.argv[3] ?? 10);
const rounds = Number(process.argv[4] ?? 9);

function report(label: string, times: readonly number[]): void {
  const most = Math.max(...times);
  console.log(
    `${label.padEnd(34)} first ${times[0].toFixed(1)} ms, median ${median(times).toFixed(1)} ms, most ${most.toFixed(1)} ms`,
  );
}

const cost = measureCompile(services, routes, rounds);
console.log(`${services} services, ${services * routes} routes, ${services * 2} instances, node ${process.version}`);
report('validate and resolve', cost.resolve);
report('compile from nothing', cost.compile);
report('compile after one endpoint changed', cost.endpoint);
report('diff after that', cost.diff);
report('compile after a save without change', cost.same);
