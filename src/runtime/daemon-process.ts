import { parseArgs } from 'node:util';
import { ok } from '../model/result.ts';
import { writeStartupReport } from './control/startup-report.ts';
import { startDaemon } from './daemon.ts';

const { values } = parseArgs({
  options: {
    config: { type: 'string' },
    parent: { type: 'string', default: '0' },
    services: { type: 'string', default: '' },
    'report-fd': { type: 'string', default: '' },
  },
});

const started = await startDaemon({
  configFile: values.config!,
  services: values.services === '' ? [] : values.services!.split(','),
  parentPid: Number(values.parent),
});
if (values['report-fd'] !== '') writeStartupReport(Number(values['report-fd']), started.ok ? ok(undefined) : started);
if (!started.ok) {
  for (const problem of started.problems) process.stderr.write(`${problem.code} ${problem.message}\n`);
  process.exitCode = 1;
} else {
  const daemon = started.value;
  process.on('SIGTERM', () => daemon.stop());
  process.on('SIGINT', () => daemon.stop());
  // The terminal that started us may close.
  process.on('SIGHUP', () => {});
  await daemon.ended;
}
