import { parseArgs } from 'node:util';
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

const daemon = startDaemon({
  configFile: values.config!,
  services: values.services === '' ? [] : values.services!.split(','),
  parentPid: Number(values.parent),
});
process.on('SIGTERM', () => daemon.stop());
process.on('SIGINT', () => daemon.stop());
// The terminal that started us may close.
process.on('SIGHUP', () => {});
const started = await daemon.started;
if (values['report-fd'] !== '') writeStartupReport(Number(values['report-fd']), started);
if (!started.ok) {
  for (const problem of started.problems) process.stderr.write(`${problem.code} ${problem.message}\n`);
  process.exitCode = 1;
}
await daemon.ended;
