import type { Coverage } from '../../../model/injection.ts';
import type { InterceptedWorkload } from '../interception.ts';
import type { Moved, ProbeKind } from './patch.ts';
import { namesOf } from './redirect-table.ts';

/** What was found out about an attached process. */
export interface AttachFindings {
  arrived: ReadonlySet<ProbeKind>;
  /** By service: the local port that a connection to its name took; null: there was none. */
  reached: Readonly<Record<string, number | null>>;
  moved: Moved;
  workerThreads: readonly number[];
  /** Pids of Node.js processes that it started. */
  children: readonly number[];
}

const KINDS: readonly { kind: ProbeKind; subject: string; detail: string }[] = [
  { kind: 'http', subject: 'http', detail: 'http.request and http.get' },
  { kind: 'https', subject: 'https', detail: 'as a TLS tunnel to the application, so without requests in tap' },
  { kind: 'fetch', subject: 'fetch', detail: 'fetch and undici' },
  { kind: 'http2', subject: 'http2', detail: 'http2.connect' },
  { kind: 'lookup', subject: 'grpc', detail: 'HTTP/2 after dns.lookup, as @grpc/grpc-js does' },
  { kind: 'net', subject: 'net', detail: 'net.connect, and what is built on it' },
];

const RESTART = 'restart it with `mesh inject --as SERVICE -- COMMAND`';

/** Rows of the report: kinds of client, services, then what is not covered, each with what would help. */
export function attachCoverage(workload: InterceptedWorkload, findings: AttachFindings): Coverage[] {
  const { arrived, reached, moved } = findings;
  const restart = RESTART.replace('SERVICE', workload.service);
  const kinds = KINDS.map(({ kind, subject, detail }) =>
    arrived.has(kind)
      ? covered(subject, detail)
      : missing(
          subject,
          'a probe did not come through: the program has a client or an agent of its own there',
          restart,
        ),
  );
  const services = Object.entries(workload.destinations).map(([service, port]) => {
    const addresses = (workload.applicationPorts[service] ?? []).map(({ host, port: appPort }) => `${host}:${appPort}`);
    const taken = reached[service] ?? null;
    return taken === port
      ? covered(service, `${[...namesOf(service), ...addresses].join(', ')} via :${port}`)
      : missing(
          service,
          taken === null ? `no connection to :${port}` : `goes to :${taken} instead of :${port}`,
          restart,
        );
  });
  return [...kinds, ...services, ...openConnections(moved, restart), ...others(findings)];
}

function openConnections(moved: Moved, restart: string): Coverage[] {
  const groups = new Map<string, number>();
  for (const { kind, service, address } of moved.left) {
    const what = `${kind === 'http2' ? 'HTTP/2' : kind === 'upgraded' ? 'upgraded' : 'TCP'} to ${service} (${address})`;
    groups.set(what, (groups.get(what) ?? 0) + 1);
  }
  return [...groups].map(([what, count]) =>
    missing(
      'open connections',
      `${count} ${what} ${count === 1 ? 'was' : 'were'} opened before and ${count === 1 ? 'stays' : 'stay'} direct`,
      `the next connection is covered; to have it at once, ${restart}`,
    ),
  );
}

function others({ workerThreads, children }: AttachFindings): Coverage[] {
  const rows: Coverage[] = [];
  if (workerThreads.length > 0) {
    rows.push(
      missing(
        'worker threads',
        `${plural('worker thread', workerThreads)} ${workerThreads.join(', ')}: each has modules of its own`,
        'restart it with `mesh inject --as SERVICE -- COMMAND`',
      ),
    );
  }
  if (children.length > 0) {
    rows.push(
      missing(
        'child processes',
        `Node.js ${plural('process', children)} ${children.join(', ')}, which it started`,
        `attach to ${children.length === 1 ? 'it' : 'each'} as well: \`mesh inject ${children[0]} --attach\``,
      ),
    );
  }
  return rows;
}

const plural = (word: string, of: readonly unknown[]): string =>
  of.length === 1 ? word : `${word}${word.endsWith('s') ? 'es' : 's'}`;

const covered = (subject: string, detail: string): Coverage => ({
  direction: 'outbound',
  subject,
  covered: true,
  detail,
  fix: '',
});

const missing = (subject: string, detail: string, fix: string): Coverage => ({
  direction: 'outbound',
  subject,
  covered: false,
  detail,
  fix,
});
