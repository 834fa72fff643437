import { fail, ok, type Result } from './result.ts';

/** Longest SPIFFE ID in bytes (SPIFFE-ID, section 2.3). */
const MAX_ID_BYTES = 2048;
/** Longest trust domain name in bytes (SPIFFE-ID, section 2.1: that of a DNS name). */
const MAX_TRUST_DOMAIN_BYTES = 255;
const SCHEME = 'spiffe://';

const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

export interface SpiffeId {
  readonly trustDomain: string;
  /** Empty for the ID of a trust domain itself, else `/` and segments. */
  readonly path: string;
}

export interface WorkloadName {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly service: string;
}

/** Whether a name is a SPIFFE trust domain: `[a-z0-9._-]`, 1 to 255 bytes. */
export function validTrustDomain(name: string): boolean {
  return name.length <= MAX_TRUST_DOMAIN_BYTES && TRUST_DOMAIN.test(name);
}

/** The ID of a service's workload, in Istio's form. The parts are taken as they are: they were validated before. */
export function formatSpiffeId(workload: WorkloadName): string {
  return `${SCHEME}${workload.trustDomain}/ns/${workload.namespace}/sa/${workload.service}`;
}

/** Parses and validates a SPIFFE ID by the rules of the SPIFFE-ID standard, sections 2.1 to 2.3. */
export function parseSpiffeId(id: string): Result<SpiffeId> {
  // Every character allowed below is ASCII, so that length in bytes and in characters is the same where it matters.
  if (id.length > MAX_ID_BYTES) return refuse(id, `is longer than ${MAX_ID_BYTES} bytes`);
  if (!id.startsWith(SCHEME)) return refuse(id, `does not begin with ${SCHEME}`);
  const slash = id.indexOf('/', SCHEME.length);
  const trustDomain = slash < 0 ? id.slice(SCHEME.length) : id.slice(SCHEME.length, slash);
  if (trustDomain === '') return refuse(id, 'has no trust domain');
  if (trustDomain.length > MAX_TRUST_DOMAIN_BYTES) {
    return refuse(id, `has a trust domain of more than ${MAX_TRUST_DOMAIN_BYTES} bytes`);
  }
  if (!TRUST_DOMAIN.test(trustDomain)) {
    return refuse(id, 'has a trust domain with characters other than a-z, 0-9, dot, hyphen and underscore');
  }
  if (slash < 0) return ok({ trustDomain, path: '' });
  const path = id.slice(slash);
  if (path.endsWith('/')) return refuse(id, 'ends with a slash');
  for (const segment of path.slice(1).split('/')) {
    if (segment === '') return refuse(id, 'has an empty path segment');
    if (segment === '.' || segment === '..') return refuse(id, `has the relative path segment '${segment}'`);
    if (!SEGMENT.test(segment)) {
      return refuse(id, 'has a path with characters other than letters, digits, dot, hyphen and underscore');
    }
  }
  return ok({ trustDomain, path });
}

/** The workload a SPIFFE ID names, or undefined where the ID is not of Istio's form `/ns/<namespace>/sa/<service>`. */
export function workloadOf(id: string): WorkloadName | undefined {
  const parsed = parseSpiffeId(id);
  if (!parsed.ok) return undefined;
  const [, ns, namespace, sa, service, ...rest] = parsed.value.path.split('/');
  if (ns !== 'ns' || sa !== 'sa' || namespace === undefined || service === undefined || rest.length > 0) {
    return undefined;
  }
  return { trustDomain: parsed.value.trustDomain, namespace, service };
}

function refuse(id: string, why: string): Result<SpiffeId> {
  const shown = JSON.stringify(id.length > 120 ? `${id.slice(0, 120)}...` : id);
  return fail({
    code: 'MESH-I120',
    message: `SPIFFE ID ${shown} ${why}`,
    hint: 'a SPIFFE ID reads spiffe://<trust domain>/<path>, such as spiffe://shop.local/ns/default/sa/orders',
  });
}
