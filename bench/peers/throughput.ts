import { installed } from '../support/processes.ts';
import type { Figure } from '../support/report.ts';
import { h2load, handshakes, type Sample, wrkDownload, wrkRequests, wrkUpload } from './load.ts';
import { alternate, compare, skipped, whole } from './rounds.ts';
import { type Bed, BODY_64K, BODY_100M, type System } from './systems.ts';

/** Our data plane and whatever peers are installed. */
export interface Field {
  readonly bed: Bed;
  readonly mesh: System;
  readonly peers: readonly System[];
  /** Programs that would be peers but are not installed. */
  readonly missing: readonly string[];
}

/** A row of the table, or the rows of one. */
interface Contest {
  what: string;
  tool: string;
  unit: string;
  /** Those that can take part. */
  by: 'h1' | 'h2' | 'upload' | 'inbound';
  /** Missing peers that would have taken part. */
  missing: readonly string[];
  goals: Readonly<Record<string, number>>;
  value: (sample: Sample) => number;
  measure: (bed: Bed, system: System, seconds: number) => Promise<Sample>;
}

const UPLOAD_64K = 64 << 10;
const UPLOAD_100M = 100 << 20;
const all = ['haproxy', 'nginx'] as const;
const rate = (sample: Sample): number => sample.rate;
/** What one core does, whether or not the client could keep it busy. Where CPU time is unknown: the rate. */
const perCore = (sample: Sample): number => (Number.isNaN(sample.perCpuSecond) ? sample.rate : sample.perCpuSecond);

const requests: Contest = {
  what: 'HTTP/1.1, 32 connections, 78-byte JSON',
  tool: 'wrk',
  unit: 'req/s',
  by: 'h1',
  missing: all,
  goals: { haproxy: 1, nginx: 1.5 },
  value: rate,
  measure: (bed, system, seconds) => wrkRequests(bed, system, { connections: 32, seconds }),
};

const multiplexed: Contest = {
  what: 'h2, 4 connections x 16 streams, 78-byte JSON',
  tool: 'h2load',
  unit: 'req/s',
  by: 'h2',
  missing: ['haproxy'],
  goals: { haproxy: 1, 'node:http2': 4 },
  value: rate,
  measure: (bed, system, seconds) => h2load(bed, system, { connections: 4, streams: 16, seconds }),
};

const bodies = (what: string, connections: number, path: string): Contest => ({
  what: `${what} down, ${connections} connections, per core`,
  tool: 'wrk',
  unit: 'MB/CPU s',
  by: 'h1',
  missing: all,
  goals: { haproxy: 0.7 },
  value: perCore,
  measure: (bed, system, seconds) => wrkDownload(bed, system, { connections, seconds, path }),
});

const uploads = (what: string, connections: number, upload: number): Contest => ({
  what: `${what} up, ${connections} connections, per core`,
  tool: 'wrk',
  unit: 'MB/CPU s',
  by: 'upload',
  missing: all,
  goals: { haproxy: 0.7 },
  value: perCore,
  measure: (bed, system, seconds) => wrkUpload(bed, system, { connections, seconds, upload }),
});

const connections: Contest = {
  what: 'new connections, full mutual TLS handshake and one request, per core',
  tool: 'openssl',
  unit: 'connections/CPU s',
  by: 'inbound',
  missing: all,
  goals: { haproxy: 0.6 },
  value: perCore,
  measure: handshakes,
};

async function hold(contest: Contest, { bed, mesh, peers, missing }: Field): Promise<Figure[]> {
  if (!installed(contest.tool)) return [skipped(contest.what, contest.tool)];
  const results = await alternate(
    [mesh, ...peers].filter((system) => system[contest.by] !== null),
    (system, seconds) => contest.measure(bed, system, seconds),
  );
  return compare(
    {
      what: contest.what,
      unit: whole(contest.unit),
      value: contest.value,
      ours: mesh,
      nameOf: (system) => system.name,
      goals: contest.goals,
      missing: contest.missing.filter((name) => missing.includes(name)),
    },
    results,
  );
}

export const http1Requests = (field: Field): Promise<Figure[]> => hold(requests, field);
export const http2Requests = (field: Field): Promise<Figure[]> => hold(multiplexed, field);
export const newConnections = (field: Field): Promise<Figure[]> => hold(connections, field);

export async function largeBodies(field: Field): Promise<Figure[]> {
  const contests = [
    bodies('64 KiB', 16, BODY_64K),
    bodies('100 MiB', 2, BODY_100M),
    uploads('64 KiB', 16, UPLOAD_64K),
    uploads('100 MiB', 2, UPLOAD_100M),
  ];
  const figures: Figure[] = [];
  for (const contest of contests) figures.push(...(await hold(contest, field)));
  return figures;
}
