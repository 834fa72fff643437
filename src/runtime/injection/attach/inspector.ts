import http from 'node:http';
import net from 'node:net';
import { problem } from '../../../model/errors.ts';
import { fail, ok, type Problem, type Result } from '../../../model/result.ts';
import { describeOwner, listeningPorts, type PortOwner, portOwner } from '../../state/port-owner.ts';
import { isRunning } from '../../state/process-table.ts';
import type { NodeProcess } from './node-process.ts';
import { WebSocketClient } from './websocket.ts';

/** For a signal to arrive and the inspector's thread to listen: a few ms, more on a loaded machine. */
const OPEN_TIMEOUT_MS = 3_000;
/** Another mesh, or another process of this one, may be attaching: it is done in less than this. */
const PORT_WAIT_MS = 2_000;
const POLL_MS = 10;
const CONNECT_TIMEOUT_MS = 2_000;
/** Finding every socket of a process walks its heap: about 100 ms, and more for gigabytes. */
const CALL_TIMEOUT_MS = 5_000;

/** A value in the other process, for as long as the session lasts. */
export interface RemoteObject {
  readonly objectId: string;
}

/** Evaluates in a live process. */
export interface Inspector {
  /** Value of an expression that may use `require`, as JSON; a promise is awaited. */
  evaluate<T>(expression: string): Promise<Result<T>>;
  /** Every live object that has the value of this expression among its prototypes, as an array over there. */
  instancesOf(prototype: string): Promise<Result<RemoteObject>>;
  /** Calls a function, given as text, with the object as `this`. */
  call<T>(target: RemoteObject, declaration: string): Promise<Result<T>>;
  /** Ends the session, and closes the inspector if it was opened for it, so that no debug port stays open. */
  close(): Promise<void>;
}

/**
 * Opens the inspector of a process that runs and makes sure that it is that process's. Problems: MESH-J203 it does not
 * open, MESH-J204 its port is taken, MESH-J205 no answer, MESH-J207 gone.
 */
export async function openInspector(target: NodeProcess): Promise<Result<Inspector>> {
  const before = await portsOf(target.pid);
  // Being debugged already: that inspector is not ours to close.
  const likely = target.inspectorPort === 0 ? before : before.filter((port) => port === target.inspectorPort);
  for (const port of likely) {
    const session = await connectTo(target, port);
    if (session !== null) return ok(createInspector(session));
  }
  if (!target.takesSignal) {
    return fail(
      problem('MESH-J203', {
        message: `process ${target.pid} does not take SIGUSR1 (--disable-sigusr1)`,
        hint: 'start it with --inspect=127.0.0.1:0, or with `mesh inject --as SERVICE -- COMMAND`',
      }),
    );
  }
  const inTheWay = await waitForPort(target.inspectorPort);
  if (inTheWay !== null) return fail(inTheWay);
  if (!isRunning(target)) return fail(ended(target.pid));
  try {
    process.kill(target.pid, 'SIGUSR1');
  } catch (error) {
    return fail(
      (error as NodeJS.ErrnoException).code === 'ESRCH'
        ? ended(target.pid)
        : problem('MESH-J202', { message: `process ${target.pid} may not be signalled` }),
    );
  }
  const deadline = performance.now() + OPEN_TIMEOUT_MS;
  while (performance.now() < deadline) {
    for (const port of await portsOf(target.pid)) {
      if (before.includes(port)) continue;
      const session = await connectTo(target, port);
      if (session !== null) return guarded(target.pid, port, session);
    }
    if (!isRunning(target)) return fail(ended(target.pid));
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  // Another process may have been quicker.
  const holder = target.inspectorPort === 0 ? null : await portOwner(target.inspectorPort);
  if (holder !== null && holder.pid !== target.pid) return fail(taken(target.inspectorPort, holder));
  return fail(
    problem('MESH-J203', {
      message: `process ${target.pid} got SIGUSR1 and opened no inspector: it has a SIGUSR1 listener of its own, or is blocked`,
      hint: 'start it with --inspect=127.0.0.1:0, or with `mesh inject --as SERVICE -- COMMAND`',
    }),
  );
}

async function portsOf(pid: number): Promise<number[]> {
  return (await listeningPorts([pid])).map(({ port }) => port);
}

/** The next process to attach to opens its inspector on the same port. */
async function untilClosed(pid: number, port: number): Promise<void> {
  const deadline = performance.now() + PORT_WAIT_MS;
  while (performance.now() < deadline && (await portsOf(pid)).includes(port))
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/** Null: free, or any port will do. */
async function waitForPort(port: number): Promise<Problem | null> {
  if (port === 0) return null;
  const deadline = performance.now() + PORT_WAIT_MS;
  for (;;) {
    const owner = await portOwner(port);
    if (owner === null) return null;
    if (performance.now() > deadline) return taken(port, owner);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS * 5));
  }
}

function taken(port: number, owner: PortOwner): Problem {
  return problem('MESH-J204', {
    message: `port ${port}, which the process's inspector would open, is held by ${describeOwner(owner)}`,
    hint: 'end that debugging session, or start the process with --inspect-port=0',
  });
}

function ended(pid: number): Problem {
  return problem('MESH-J207', { message: `process ${pid} has ended` });
}

/** Null: what listens there is not the inspector of this process. */
async function connectTo(target: NodeProcess, port: number): Promise<Session | null> {
  const path = await debuggerPath(port);
  if (path === null) return null;
  const session = await Session.open(port, path).catch(() => null);
  if (session === null) return null;
  const pid = await session.send<{ result?: { value?: unknown } }>('Runtime.evaluate', {
    expression: 'process.pid',
    returnByValue: true,
  });
  // A process that stands at a breakpoint still evaluates, one whose loop is blocked does not: the port is its own then.
  if (!pid.ok || pid.value.result?.value === target.pid) return session;
  await session.close();
  return null;
}

/** From the list that an inspector gives of what can be debugged; null if this is none. */
function debuggerPath(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const request = http.get(
      { host: '127.0.0.1', port, path: '/json/list', agent: false, timeout: CONNECT_TIMEOUT_MS },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          body += text;
          if (body.length > 1 << 20) request.destroy();
        });
        response.on('error', () => resolve(null));
        response.on('end', () => {
          const url = /"webSocketDebuggerUrl":\s*"ws:\/\/[^/"]+(\/[^"]+)"/.exec(body);
          resolve(url === null ? null : url[1]);
        });
      },
    );
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(null));
    request.on('close', () => resolve(null));
  });
}

/** Chrome DevTools Protocol over one WebSocket: numbered requests and their answers; events are not asked for. */
class Session {
  private readonly waiting = new Map<number, (answer: Result<unknown>) => void>();
  private lastId = 0;
  private socket!: WebSocketClient;

  private constructor() {}

  static async open(port: number, path: string): Promise<Session> {
    const session = new Session();
    session.socket = await WebSocketClient.connect(
      { host: '127.0.0.1', port, path },
      { onText: (text) => session.receive(text), onClose: () => session.abandon() },
      CONNECT_TIMEOUT_MS,
    );
    return session;
  }

  send<T>(method: string, params: object): Promise<Result<T>> {
    const id = ++this.lastId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        resolve(fail(noAnswer('in time')));
      }, CALL_TIMEOUT_MS);
      this.waiting.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer as Result<T>);
      });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  close(): Promise<void> {
    return this.socket.close(CONNECT_TIMEOUT_MS);
  }

  private receive(text: string): void {
    const message = JSON.parse(text) as { id?: number; result?: unknown; error?: { message: string } };
    const resolve = message.id === undefined ? undefined : this.waiting.get(message.id);
    if (resolve === undefined) return;
    this.waiting.delete(message.id!);
    resolve(message.error === undefined ? ok(message.result) : fail(noAnswer(message.error.message)));
  }

  private abandon(): void {
    for (const resolve of this.waiting.values()) resolve(fail(noAnswer('before its connection closed')));
    this.waiting.clear();
  }
}

function noAnswer(how: string): Problem {
  return problem('MESH-J205', {
    message: `the inspector of the process did not answer ${how}`,
    hint: 'does it stand at a breakpoint, or is its event loop blocked?',
  });
}

/**
 * An expression that is evaluated in a turn of the event loop of its own, in a scope of its own, with `load` for Node's
 * modules. The inspector comes in between any two steps of the program, also in the middle of Node's own books: a timer set
 * there has lost the program its timers, a socket destroyed there had just been given to a request.
 */
export function inOwnTurn(expression: string): string {
  return `(() => {
    const load = process.getBuiltinModule ?? require;
    return new Promise((resolve, reject) => setImmediate(() => {
      // Runners that stand on esbuild name functions with a call that exists only where they put it.
      const __name = (f) => f;
      try { resolve(${expression}) } catch (error) { reject(error) }
    }));
  })()`;
}

interface Evaluated {
  result: { value?: unknown; objectId?: string };
  exceptionDetails?: { text: string; exception?: { description?: string } };
}

/**
 * An inspector that was opened for us is closed by the process itself when its connection to a listener here ends: after
 * our session has (Node.js crashes if it closes an inspector that serves one), and also when we are killed meanwhile.
 */
async function guarded(pid: number, port: number, session: Session): Promise<Result<Inspector>> {
  const inspector = createInspector(session);
  const guard = net.createServer((socket) => {
    connections.push(socket);
    socket.on('error', () => {}).resume();
  });
  const connections: net.Socket[] = [];
  const letGo = async (): Promise<void> => {
    await inspector.close();
    guard.close();
    for (const socket of connections) socket.destroy();
    await untilClosed(pid, port);
  };
  await new Promise<void>((resolve, reject) => {
    guard.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port: guardPort } = guard.address() as net.AddressInfo;
  const armed = await inspector.evaluate<boolean>(inOwnTurn(`(${closeInspectorWith})(load, ${guardPort})`));
  if (armed.ok && armed.value) return ok({ ...inspector, close: letGo });
  await letGo();
  return armed.ok ? fail(noAnswer('to a connection from it to this machine')) : armed;
}

/**
 * Runs in the process, so it may refer to nothing outside itself. Resolves when the connection stands; without one the
 * inspector is closed after a while.
 */
function closeInspectorWith(require: (id: string) => unknown, port: number): Promise<boolean> {
  const inspector = require('node:inspector') as { close(): void };
  const close = (): void => {
    try {
      inspector.close();
    } catch {
      // Somebody else has.
    }
  };
  return new Promise((resolve) => {
    const socket = (require('node:net') as typeof net).connect({ host: '127.0.0.1', port });
    let connected = false;
    socket.on('connect', () => {
      connected = true;
      resolve(true);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      resolve(false);
      // The end of the session has been handed to this thread before the end of this connection, or will be soon.
      setTimeout(close, connected ? 50 : 3_000).unref();
    });
    socket.unref();
    socket.resume();
  });
}

function createInspector(session: Session): Inspector {
  const evaluate = async (expression: string, returnByValue: boolean): Promise<Result<Evaluated['result']>> =>
    evaluatedValue(
      await session.send<Evaluated>('Runtime.evaluate', {
        expression,
        includeCommandLineAPI: true,
        awaitPromise: true,
        returnByValue,
        silent: true,
      }),
    );
  return {
    async evaluate<T>(expression: string) {
      const evaluated = await evaluate(expression, true);
      return evaluated.ok ? ok(evaluated.value.value as T) : evaluated;
    },
    async instancesOf(prototype) {
      const found = await evaluate(prototype, false);
      if (!found.ok) return found;
      const queried = await session.send<{ objects: { objectId: string } }>('Runtime.queryObjects', {
        prototypeObjectId: found.value.objectId,
      });
      return queried.ok ? ok({ objectId: queried.value.objects.objectId }) : queried;
    },
    async call<T>(target: RemoteObject, declaration: string) {
      const called = evaluatedValue(
        await session.send<Evaluated>('Runtime.callFunctionOn', {
          objectId: target.objectId,
          functionDeclaration: declaration,
          returnByValue: true,
          awaitPromise: true,
          silent: true,
        }),
      );
      return called.ok ? ok(called.value.value as T) : called;
    },
    close: () => session.close(),
  };
}

function evaluatedValue(answer: Result<Evaluated>): Result<Evaluated['result']> {
  if (!answer.ok) return answer;
  const { exceptionDetails, result } = answer.value;
  if (exceptionDetails === undefined) return ok(result);
  const reason = (exceptionDetails.exception?.description ?? exceptionDetails.text).split('\n')[0];
  return fail(problem('MESH-J206', { message: `the process refused to be patched: ${reason}` }));
}
