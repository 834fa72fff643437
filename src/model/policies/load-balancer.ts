import type { LoadBalancerConfig } from '../config.ts';
import { dictionary, either, exactlyOne, number, oneOf, yes } from '../schema-parts.ts';
import { headerName, label } from '../schema-texts.ts';

type Named = Extract<LoadBalancerConfig, string>;
type Configured = Exclude<LoadBalancerConfig, string>;
type HashKey = Extract<Configured, { ringHash: unknown }>['ringHash'];

const named = oneOf<Named>({ 'round-robin': true, weighted: true, 'least-request': true, random: true });

const hashKey = exactlyOne<{ header: string } | { cookie: string } | { source: true }>('ringHash', {
  header: headerName,
  cookie: headerName,
  source: yes,
});

const configured = exactlyOne<Configured>('loadBalancer', {
  ringHash: either<HashKey>(() => hashKey),
  weighted: dictionary('weights by subset or instance', label, number('a weight', 0, 1_000_000, false)),
});

export const loadBalancer = either<LoadBalancerConfig>((input) =>
  typeof input === 'object' && input !== null ? configured : named,
);
