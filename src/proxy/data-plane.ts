import type { FromDataPlane, TapSpec, ToDataPlane } from './channel.ts';
import { type Prepared, Proxies } from './proxy.ts';
import { CaptureBudget } from './telemetry/body-capture.ts';
import { createBodyCaptures } from './telemetry/body-captures.ts';
import { BATCH_INTERVAL_MS, createTaps } from './telemetry/taps.ts';
import { TraceRecorder, type TraceSettings } from './telemetry/trace-recorder.ts';

/** Interval of the counters' way up. */
const TRAFFIC_INTERVAL_MS = 250;

/** Entry of a data-plane process: the channel to the control plane on one side, the proxies on the other. */
export function runDataPlane(): void {
  let prepared: Prepared | null = null;
  let sent = '';

  let tapTimer: NodeJS.Timeout | null = null;

  const send = (message: FromDataPlane, done: () => void = () => {}) => {
    // The daemon may be gone; traffic goes on without it.
    if (process.connected) process.send?.(message, done);
  };

  const proxy = new Proxies({
    random: Math.random,
    onInFlight: (workload, port, requests) => send({ type: 'in-flight', workload, port, requests }),
    onNotice: (level, service, text) => send({ type: 'notice', level, service, text }),
  });

  const captureBudget = new CaptureBudget();
  const tap = (specs: readonly TapSpec[], redactHeaders: readonly string[]) => {
    if (tapTimer !== null) clearInterval(tapTimer);
    proxy.taps?.flush();
    tapTimer = null;
    proxy.taps = null;
    proxy.manager.bodies = createBodyCaptures(specs, captureBudget);
    if (specs.length === 0) return;
    const taps = createTaps(specs, redactHeaders, {
      wallMs: Date.now,
      send: (batches, done) => send({ type: 'events', batches }, done),
    });
    proxy.taps = taps;
    tapTimer = setInterval(() => taps.flush(), BATCH_INTERVAL_MS);
  };

  const trace = (settings: TraceSettings | null) => {
    if (settings === null) {
      proxy.traces?.flush();
      proxy.traces = null;
      return;
    }
    proxy.traces ??= new TraceRecorder({
      random: Math.random,
      now: Date.now,
      monotonic: () => performance.now(),
      send: (spans, dropped, done) => send({ type: 'spans', spans, dropped }, done),
    });
    proxy.traces.use(settings);
  };

  process.on('message', (message: ToDataPlane, handle: unknown) => {
    switch (message.type) {
      case 'socket':
        proxy.giveSocket(message.listener, handle);
        return;
      case 'prepare': {
        const result = proxy.prepare(message.delta);
        const problems = Array.isArray(result) ? result : [];
        prepared = Array.isArray(result) ? null : result;
        send({ type: 'prepared', version: message.delta.version, problems });
        return;
      }
      case 'commit':
        if (prepared?.version !== message.version) return;
        prepared.commit();
        prepared = null;
        send({ type: 'committed', version: message.version });
        return;
      case 'abort':
        prepared = null;
        proxy.dropSockets();
        return;
      case 'tap':
        tap(message.taps, message.redactHeaders);
        return;
      case 'trace':
        trace(message.settings);
        return;
      case 'view':
        send({ type: 'view', id: message.id, view: proxy.view(message.query) });
        return;
      case 'shutdown':
        tap([], []);
        trace(null);
        proxy.destroy();
        clearInterval(traffic);
        process.disconnect();
        return;
    }
  });

  const traffic = setInterval(() => {
    proxy.traces?.flush();
    const slots = proxy.counters.snapshot('changed');
    if (slots.length > 0) send({ type: 'counters', slots });
    const { requests, active } = proxy.counters.totals();
    const connections = proxy.connectionCounts();
    let activeConnections = 0;
    for (const n of Object.values(connections)) activeConnections += n;
    const totals = {
      requests,
      flags: proxy.flags,
      refusedPeers: proxy.refusedPeers,
      activeRequests: active,
      activeConnections,
      connections,
    };
    const text = JSON.stringify(totals);
    if (text === sent) return;
    sent = text;
    send({ type: 'traffic', totals });
  }, TRAFFIC_INTERVAL_MS);

  // A bug in one exchange must not take all of the mesh's traffic down.
  process.on('uncaughtException', (error) => {
    send({ type: 'notice', level: 'error', service: '', text: `data plane: ${error.stack ?? error.message}` });
    process.stderr.write(`data plane: ${error.stack ?? error.message}\n`);
  });
  // Nobody is left to look.
  process.on('disconnect', () => {
    tap([], []);
    trace(null);
  });
  // Ctrl-C in the terminal goes to the whole foreground group; the daemon decides when the data plane ends.
  process.on('SIGINT', () => {});
  process.on('SIGHUP', () => {});

  send({ type: 'ready' });
}
