import { locateMesh } from '../locate.ts';
import type { Style } from '../style.ts';
import { type Check, failed, skipped } from './check.ts';
import {
  checkDisk,
  checkLocalhostNames,
  checkLoopback,
  checkNode,
  checkOpenFiles,
  checkTrust,
  checkWatches,
} from './machine.ts';
import { checkConfig, checkDaemon, checkPorts, checkStateDirectory } from './mesh.ts';
import { checkTelemetry } from './telemetry.ts';

/** All checks, one after the other, each as soon as it is known. */
export async function* examine(cwd: string, config: string | undefined): AsyncGenerator<Check> {
  yield checkNode();
  yield checkOpenFiles();
  yield checkWatches();
  yield await checkLoopback();
  yield await checkLocalhostNames();
  yield* await checkTrust(Date.now());
  const located = locateMesh(cwd, config, true);
  if (!located.ok) {
    const [{ message, hint }] = located.problems;
    // Fine in any other directory, and still the answer to "why does it not start".
    yield config === undefined
      ? { name: 'config', outcome: 'warning', detail: message, fix: hint }
      : failed('config', message, hint ?? '');
    yield await checkDisk(cwd);
    yield skipped('state directory', 'no mesh here');
    yield skipped('daemon', 'no mesh here');
    yield skipped('ports', 'no mesh here');
    return;
  }
  const location = located.value;
  const { check, config: resolved } = await checkConfig(location, cwd);
  yield check;
  yield checkStateDirectory(location);
  yield await checkDisk(location.baseDir);
  const daemon = await checkDaemon(location);
  yield daemon.check;
  yield await checkPorts(resolved, daemon.running);
  if (daemon.dropped !== undefined) yield checkTelemetry(daemon.dropped);
}

export function renderCheck({ name, outcome, detail, fix }: Check, style: Style): string[] {
  const sign = {
    ok: style.green('✓'),
    warning: style.yellow('!'),
    failed: style.red('✗'),
    skipped: style.dim('-'),
  }[outcome];
  const text = outcome === 'skipped' ? style.dim(detail) : detail;
  const lines = [`${sign} ${style.bold(name)}  ${text}`];
  if (fix !== undefined) lines.push(`    ${style.dim('fix')} ${fix}`);
  return lines;
}

export function summary(checks: readonly Check[]): string {
  const count = (outcome: Check['outcome']) => checks.filter((check) => check.outcome === outcome).length;
  const warnings = count('warning') === 1 ? '1 warning' : `${count('warning')} warnings`;
  if (count('failed') > 0) return `${count('failed')} failed, ${warnings}`;
  return count('warning') > 0 ? `fit to run, ${warnings}` : 'fit to run';
}
