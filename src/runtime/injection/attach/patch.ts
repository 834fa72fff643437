import type dns from 'node:dns';
import type http from 'node:http';
import type { ClientHttp2Session } from 'node:http2';
import type net from 'node:net';
import type { Redirect, RedirectTable } from './redirect-table.ts';

/**
 * What is sent into an attached process, as text: each function must stand alone and refer to nothing outside itself
 * but its parameters and the globals of Node.js 16 and later. Whatever happens in it, the process must not notice: no
 * exception may leave a callback, and what cannot be done is left as it was.
 */

/** Key of the attachment on the process's `globalThis`. */
export const ATTACHMENT = 'localmesh.attachment';

/** Connections that were opened before a change. */
export interface Moved {
  /** Idle ones that were closed: the next request opens a new one. */
  closed: number;
  /** Ones in use that close after what they carry. */
  draining: number;
  /** `tcp 127.0.0.1:9000`: ones that stay until the program closes them. */
  left: { kind: 'tcp' | 'http2' | 'upgraded'; service: string; address: string }[];
}

export interface Attachment {
  table: RedirectTable;
  /** Closes connections of pools that go another way than new ones would. Others than sockets may be among them. */
  release(objects: unknown[]): Promise<Moved>;
  /** Ids of the worker threads among these objects, each of which has a `net` of its own. */
  workers(objects: unknown[]): number[];
  /** Puts back what was replaced. False: somebody has wrapped it, so that it stays and does nothing. */
  restore(): boolean;
}

/** Replaces `net.Socket.prototype.connect` and `dns.lookup`, or updates the table of a patch that is there. */
export function install(require: (id: string) => unknown, key: string, table: RedirectTable): string {
  const scope = globalThis as unknown as Record<symbol, Attachment | undefined>;
  const symbol = Symbol.for(key);
  const present = scope[symbol];
  if (present !== undefined) {
    if (present.table.owner !== table.owner) throw new Error(`the mesh of ${present.table.owner} is attached to it`);
    present.table = table;
    return 'updated';
  }

  type Anyone = Record<PropertyKey, unknown>;
  const netModule = require('node:net') as typeof net;
  const dnsModule = require('node:dns') as typeof dns;
  const { syncBuiltinESMExports } = require('node:module') as { syncBuiltinESMExports(): void };
  /** On sockets that were redirected: the port they went to. */
  const routed = Symbol('localmesh.routed');
  let active = true;
  const undo: (() => boolean)[] = [];

  const lookFor = (host: unknown, port: unknown): Redirect | undefined => {
    const name = String(host ?? 'localhost')
      .toLowerCase()
      .replace(/\.$/, '');
    const { hosts, addresses } = attachment.table;
    if (Object.hasOwn(hosts, name)) return hosts[name];
    const address = `${name}:${Number(port)}`;
    return Object.hasOwn(addresses, address) ? addresses[address] : undefined;
  };

  /** Looks and behaves like what it replaces, down to its name and the properties that others put on it. */
  const replace = (owner: object, name: string, make: (original: (...args: unknown[]) => unknown) => unknown): void => {
    const before = Object.getOwnPropertyDescriptor(owner, name);
    if (before === undefined || typeof before.value !== 'function') throw new Error(`${name} is not replaceable`);
    const replacement = make(before.value as (...args: unknown[]) => unknown) as object;
    for (const property of Reflect.ownKeys(before.value)) {
      if (property === 'prototype') continue;
      Object.defineProperty(replacement, property, Object.getOwnPropertyDescriptor(before.value, property)!);
    }
    Object.defineProperty(owner, name, { ...before, value: replacement });
    undo.push(() => {
      if (Object.getOwnPropertyDescriptor(owner, name)?.value !== replacement) return false;
      Object.defineProperty(owner, name, before);
      return true;
    });
  };

  /** The arguments of `connect` with the address replaced: (options, cb), (port, host, cb), or what net has normalized. */
  const redirected = (socket: Anyone, args: unknown[]): unknown[] => {
    const normalized = Array.isArray(args[0]) ? (args[0] as unknown[]) : null;
    const first = normalized === null ? args[0] : normalized[0];
    const options: Anyone | null =
      typeof first === 'object' && first !== null
        ? (first as Anyone)
        : typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))
          ? { port: first, host: typeof args[1] === 'string' ? args[1] : undefined }
          : null;
    if (options === null || typeof options.path === 'string') return args;
    const redirect = lookFor(options.host, options.port);
    if (redirect === undefined) return args;
    // A copy: the caller (tls, an agent) still takes the server's name for certificates and pools from its own.
    const next = Object.assign(Object.create(Object.getPrototypeOf(options)), options) as Anyone;
    next.host = '127.0.0.1';
    next.port = redirect.port;
    delete next.localAddress;
    delete next.family;
    Object.defineProperty(socket, routed, { value: redirect.port, configurable: true });
    if (normalized === null) return [next, ...args.filter((arg) => typeof arg === 'function')];
    const copy = normalized.slice() as unknown[] & Anyone;
    for (const mark of Object.getOwnPropertySymbols(normalized)) copy[mark] = (normalized as unknown as Anyone)[mark];
    copy[0] = next;
    return [copy, ...args.slice(1)];
  };

  const lookupAnswer = (hostname: unknown, options: unknown): unknown => {
    if (!active || typeof hostname !== 'string') return undefined;
    const name = hostname.toLowerCase().replace(/\.$/, '');
    const { lookups } = attachment.table;
    if (!Object.hasOwn(lookups, name)) return undefined;
    const { all = false, family = 0 } = (typeof options === 'number' ? { family: options } : (options ?? {})) as {
      all?: boolean;
      family?: number | string;
    };
    if (family === 6 || family === 'IPv6') return undefined;
    const answer = { address: lookups[name], family: 4 };
    return all ? [answer] : answer;
  };

  const release = (objects: unknown[]): Moved => {
    const moved: Moved = { closed: 0, draining: 0, left: [] };
    const bySymbol = (object: unknown, description: string): unknown => {
      for (let at = object; at !== null && typeof at === 'object'; at = Object.getPrototypeOf(at)) {
        for (const property of Object.getOwnPropertySymbols(at))
          if (property.description === description) return Reflect.get(at, property, object);
      }
      return undefined;
    };
    type Pooled = net.Socket & Anyone;
    type Session = Pick<ClientHttp2Session, 'closed' | 'goaway' | 'close'> & {
      listenerCount(event: string): number;
      emit(event: string, ...args: unknown[]): boolean;
    };
    /** Under which key a socket has its session differs from version to version. */
    const sessionOf = (socket: Pooled): Session | undefined => {
      for (const property of Reflect.ownKeys(socket)) {
        const held = Reflect.get(socket, property) as Partial<Session> | null | undefined;
        if (typeof held === 'object' && typeof held?.goaway === 'function') return held as Session;
      }
      return undefined;
    };
    const isIdle = (session: Session): boolean => {
      const state = bySymbol(session, 'state') as { streams?: Map<unknown, unknown>; pendingStreams?: Set<unknown> };
      return state?.streams?.size === 0 && (state.pendingStreams?.size ?? 0) === 0;
    };
    const elsewhere = (socket: Pooled): Redirect | { service: string } | undefined => {
      if (!(socket instanceof netModule.Socket) || socket.destroyed || socket._handle == null) return undefined;
      // Somebody connected to us.
      if (socket.server != null || socket.remotePort === undefined) return undefined;
      const went = socket[routed as unknown as string] as number | undefined;
      if (went !== undefined) {
        const still = Object.values(attachment.table.hosts).find(({ port }) => port === went);
        return active && still !== undefined ? undefined : { service: still?.service ?? '' };
      }
      return active ? lookFor(String(socket.remoteAddress).replace(/^::ffff:/, ''), socket.remotePort) : undefined;
    };
    const found = new Map<Pooled, { service: string }>();
    for (const socket of objects as Pooled[]) {
      try {
        const redirect = elsewhere(socket);
        if (redirect !== undefined) found.set(socket, redirect);
      } catch {
        // A getter of a socket that is no real one.
      }
    }
    // Of TLS over a socket only the outer one knows what it carries.
    for (const socket of [...found.keys()]) found.delete(socket._parent as Pooled);

    for (const [socket, { service }] of found) {
      const leave = (kind: Moved['left'][number]['kind']): void => {
        moved.left.push({ kind, service, address: `${socket.remoteAddress}:${socket.remotePort}` });
      };
      try {
        const session = sessionOf(socket);
        const client = bySymbol(socket, 'client') ?? (bySymbol(socket, 'parser') as Anyone | undefined)?.client;
        const undiciReset = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'reset');
        if (session !== undefined) {
          // As if the server said goodbye, which whoever keeps a session must expect. Who does not listen for it would
          // go on with a session that takes no requests, at least until it has closed.
          if (session.closed) moved.draining++;
          else if (session.listenerCount('goaway') > 0 || (session.listenerCount('close') > 0 && isIdle(session))) {
            session.emit('goaway', 0, 2 ** 31 - 1, undefined);
            session.close();
            moved.draining++;
          } else leave('http2');
        } else if (client !== undefined && undiciReset !== undefined) {
          if (bySymbol(client, 'running') === 0 && bySymbol(client, 'size') === 0) {
            socket.destroy();
            moved.closed++;
          } else {
            // undici's own way to say: close when what is under way is done, and begin nothing new here.
            (socket as Record<PropertyKey, unknown>)[undiciReset] = true;
            moved.draining++;
          }
        } else if ('_httpMessage' in socket) {
          const request = socket._httpMessage as (http.ClientRequest & { upgradeOrConnect?: boolean }) | null;
          if (request == null) {
            socket.destroy();
            moved.closed++;
          } else if (request.upgradeOrConnect === true) leave('upgraded');
          else {
            // The agent reads it when the answer has ended.
            request.shouldKeepAlive = false;
            moved.draining++;
          }
        } else leave('tcp');
      } catch {
        leave('tcp');
      }
    }
    return moved;
  };

  const attachment: Attachment = {
    table,
    // The inspector comes in between any two steps of the program, also when an agent has just given a socket to a request
    // that the socket does not know of yet. In a turn of its own nothing is half done.
    release: (objects) => new Promise((resolve) => setImmediate(() => resolve(release(objects)))),
    workers(objects) {
      const { Worker } = require('node:worker_threads') as { Worker: new () => { threadId: number } };
      return objects.flatMap((object) => {
        try {
          return object instanceof Worker && object.threadId > 0 ? [object.threadId] : [];
        } catch {
          // The prototype of a class that extends it.
          return [];
        }
      });
    },
    restore() {
      active = false;
      const complete = undo.map((step) => step()).every((done) => done);
      syncBuiltinESMExports();
      delete scope[symbol];
      return complete;
    },
  };

  try {
    replace(
      netModule.Socket.prototype,
      'connect',
      (original) =>
        function (this: Anyone, ...args: unknown[]) {
          let given = args;
          try {
            if (active) given = redirected(this, args);
          } catch {
            // Arguments that net will complain about itself.
          }
          return Reflect.apply(original, this, given);
        },
    );
    replace(
      dnsModule,
      'lookup',
      (original) =>
        function (this: unknown, ...args: unknown[]) {
          const callback = args[args.length - 1];
          const answer =
            typeof callback === 'function' ? lookupAnswer(args[0], args.length > 2 ? args[1] : 0) : undefined;
          if (answer === undefined) return Reflect.apply(original, this, args);
          const { address, family } = (Array.isArray(answer) ? {} : answer) as { address?: string; family?: number };
          process.nextTick(() => {
            if (Array.isArray(answer)) (callback as (...a: unknown[]) => void)(null, answer);
            else (callback as (...a: unknown[]) => void)(null, address, family);
          });
          return {};
        },
    );
    replace(
      dnsModule.promises,
      'lookup',
      (original) =>
        function (this: unknown, ...args: unknown[]) {
          const answer = lookupAnswer(args[0], args[1]);
          return answer === undefined ? Reflect.apply(original, this, args) : Promise.resolve(answer);
        },
    );
    Object.defineProperty(scope, symbol, { value: attachment, configurable: true, enumerable: false });
    syncBuiltinESMExports();
  } catch (error) {
    for (const step of undo) step();
    throw error;
  }
  return 'installed';
}

/** Which kinds of client there are to check, and what each sends to the probe listener so that it is known there. */
export type ProbeKind = 'net' | 'http' | 'https' | 'fetch' | 'http2' | 'lookup';

/** Has every kind of client of the process connect to the probe host. Resolves when all are through, or after a second. */
export function probeClients(require: (id: string) => unknown, host: string): Promise<void> {
  type Client = { on(event: string, listener: () => void): Client; destroy(): void };
  const run = (start: (done: () => void) => void): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, 1_000);
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      try {
        start(done);
      } catch {
        done();
      }
    });
  const until = (client: Client, done: () => void): void => {
    client.on('error', done).on('close', done);
  };
  const netModule = require('node:net') as typeof net;
  const speak = (target: { host: string; port: number }, text: string, done: () => void): void => {
    const socket = netModule.connect(target);
    until(socket as unknown as Client, done);
    socket.end(text);
    socket.resume();
  };
  const get = (module: string, path: string, done: () => void): void => {
    const { get: send } = require(module) as typeof http;
    const options = { host, port: 80, path, rejectUnauthorized: false };
    const request = send(options, (response) => response.resume());
    until(request as unknown as Client, done);
  };
  return Promise.all([
    run((done) => speak({ host, port: 80 }, 'net', done)),
    run((done) => {
      const { promises } = require('node:dns') as typeof dns;
      promises.lookup(host, { all: true }).then(
        (found) => speak({ host: found[0].address, port: 80 }, 'lookup', done),
        () => done(),
      );
    }),
    run((done) => get('node:http', '/http', done)),
    run((done) => get('node:https', '/https', done)),
    run((done) => {
      const { fetch: send } = globalThis as { fetch?: (url: string) => Promise<{ text(): Promise<string> }> };
      if (send === undefined) done();
      else
        send(`http://${host}/fetch`)
          .then((response) => response.text())
          .then(done, done);
    }),
    run((done) => {
      const { connect } = require('node:http2') as { connect(url: string): Client };
      const session = connect(`http://${host}`);
      until(session, done);
    }),
  ]).then(() => undefined);
}

/** Local port that a connection to this host really takes; null: none could be opened. */
export function probeDestination(require: (id: string) => unknown, host: string): Promise<number | null> {
  return new Promise((resolve) => {
    const { connect } = require('node:net') as typeof net;
    const socket = connect({ host, port: 80 });
    const settle = (port: number | null): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(port);
    };
    const timer = setTimeout(settle, 1_000, null);
    socket.on('connect', () => settle(socket.remotePort ?? null));
    socket.on('error', () => settle(null));
  });
}
