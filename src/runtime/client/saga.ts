import { Readable } from 'node:stream';
import { type Code, problem } from '../../model/errors.ts';
import { fail, ok, type Result } from '../../model/result.ts';
import type { MeshStatus } from '../../model/status.ts';
import { plain } from '../telemetry/event-text.ts';
import { buildRequest } from './request.ts';
import { BrokenBody, sendRequest } from './send-request.ts';

export const SAGA_STATES = ['accepted', 'running', 'completed', 'compensating', 'compensated', 'parked'] as const;

/** As the template `saga` answers `GET /sagas`. Texts are the service's: clean them before they are shown. */
export interface SagaSummary {
  id: string;
  kind: string;
  state: string;
  step: string | null;
  failure: string | null;
  obstacle: string | null;
  /** RFC 3339, like all times here. */
  createdAt: string;
  updatedAt: string;
}

export interface SagaPage {
  sagas: SagaSummary[];
  /** How many there are, by state. */
  counts: Record<string, number>;
  /** There are more. */
  next?: string;
}

export interface SagaCall {
  step: string;
  direction: 'action' | 'compensation';
  attempt: number;
  replica: string;
  startedAt: string;
  endedAt: string | null;
  outcome: string | null;
  error: string | null;
}

export interface SagaDetails extends SagaSummary {
  steps: { name: string; state: string; attempts: number }[];
  history: SagaCall[];
}

const TIMEOUT = '10s';
const MOST_BYTES = 16 << 20;

/** @returns MESH-S150 where the service has none, MESH-S152 where it cannot say, MESH-X1xx where it is not reached */
export async function listSagas(
  status: MeshStatus,
  service: string,
  { state, count }: { state?: string; count: number },
): Promise<Result<SagaPage>> {
  const query = new URLSearchParams({ limit: String(count), ...(state === undefined ? {} : { state }) });
  const answer = await ask(status, service, `/sagas?${query}`, () => noSagas(service));
  if (!answer.ok) return answer;
  const page = answer.value as Partial<SagaPage> | null;
  if (!isList(page?.sagas, isSummary)) return noSagas(service);
  return ok({ ...page, sagas: page.sagas, counts: countsOf(page.counts) });
}

/** A service that runs sagas, and how many there are, by state. */
export interface SagaService {
  service: string;
  counts: Record<string, number>;
}

/** Those services that have sagas, found by asking all that take HTTP and run. */
export async function listSagaServices(status: MeshStatus): Promise<SagaService[]> {
  const asked = status.services.filter(
    ({ protocol, task, external, instances }) =>
      protocol !== 'tcp' && protocol !== 'grpc' && !task && !external && instances.some(({ pid }) => pid !== null),
  );
  const answers = await Promise.all(
    asked.map(async ({ name }) => ({ service: name, page: await listSagas(status, name, { count: 1 }) })),
  );
  return answers.flatMap(({ service, page }) => (page.ok ? [{ service, counts: page.value.counts }] : []));
}

/** @returns MESH-S151 where there is no such saga, and otherwise as `listSagas` */
export async function showSaga(status: MeshStatus, service: string, id: string): Promise<Result<SagaDetails>> {
  const answer = await ask(status, service, `/sagas/${encodeURIComponent(id)}`, (title) =>
    // Any service answers 404 to what it does not know; only one with sagas says what is missing.
    /saga/i.test(title)
      ? refuse('MESH-S151', `${service} has no saga ${plain(id)}`, `\`mesh saga ls ${service}\` lists them`)
      : noSagas(service),
  );
  if (!answer.ok) return answer;
  const saga = answer.value as Partial<SagaDetails> | null;
  const whole = isList(saga?.steps, isStep) && isList(saga.history, isCall) && isSummary(answer.value);
  return whole ? ok(saga as SagaDetails) : noSagas(service);
}

const refuse = (code: Code, message: string, hint: string) => fail(problem(code, { message, hint }));

const noSagas = (service: string) =>
  refuse('MESH-S150', `${service} shows no sagas at /sagas`, 'name the service that runs them; `mesh ps` lists all');

/** @param notFound given the title of the answer's problem document, empty where it has none */
async function ask(
  status: MeshStatus,
  service: string,
  path: string,
  notFound: (title: string) => Result<never>,
): Promise<Result<unknown>> {
  // As itself: that is allowed whoever else may call it.
  const given = { as: service, timeout: TIMEOUT, header: ['accept: application/json'] };
  const built = await buildRequest(service, path, given, status, { traced: false, stdin: Readable.from([]) });
  if (!built.ok) return built;
  const sent = await sendRequest(built.value);
  if (!sent.ok) return sent;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of sent.value.body) {
      bytes += chunk.length;
      if (bytes > MOST_BYTES)
        return refuse('MESH-S152', `${service} answered with more than 16 MiB`, 'ask for less: -n 20');
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof BrokenBody) return { ok: false, problems: error.problems };
    throw error;
  }
  const document = parsed(Buffer.concat(chunks).toString());
  const { status: code } = sent.value;
  if (code === 200) return ok(document);
  const { title, detail } = isRecord(document) ? document : {};
  if (code === 404) return notFound(typeof title === 'string' ? title : '');
  const said = [title, detail].find((text) => typeof text === 'string') as string | undefined;
  const message = `${service} answered ${code}${said === undefined ? '' : `: ${plain(said)}`}`;
  return refuse('MESH-S152', message, `\`mesh ps\` shows how it is, \`mesh logs ${service}\` what it says`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const isRecord = (value: unknown): value is Record<string, never> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isList = <T>(value: unknown, of: (each: unknown) => each is T): value is T[] =>
  Array.isArray(value) && value.every(of);

const hasTexts = (value: Record<string, unknown>, fields: readonly string[]): boolean =>
  fields.every((field) => typeof value[field] === 'string');

const hasTextsOrNull = (value: Record<string, unknown>, fields: readonly string[]): boolean =>
  fields.every((field) => value[field] === null || typeof value[field] === 'string');

const isSummary = (value: unknown): value is SagaSummary =>
  isRecord(value) &&
  hasTexts(value, ['id', 'kind', 'state', 'createdAt', 'updatedAt']) &&
  hasTextsOrNull(value, ['step', 'failure', 'obstacle']);

const isStep = (value: unknown): value is SagaDetails['steps'][number] =>
  isRecord(value) && hasTexts(value, ['name', 'state']) && Number.isInteger(value.attempts);

const isCall = (value: unknown): value is SagaCall =>
  isRecord(value) &&
  hasTexts(value, ['step', 'direction', 'replica', 'startedAt']) &&
  hasTextsOrNull(value, ['endedAt', 'outcome', 'error']) &&
  Number.isInteger(value.attempt);

const countsOf = (value: unknown): Record<string, number> =>
  isRecord(value) ? Object.fromEntries(Object.entries(value).filter(([, count]) => Number.isInteger(count))) : {};
