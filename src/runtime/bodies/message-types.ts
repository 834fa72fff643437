import type protobuf from 'protobufjs';
import { problem } from '../../model/errors.ts';
import { fail, ok, type Problem } from '../../model/result.ts';
import type { MessageDecoder, MessageType, MethodTypes } from './present.ts';
import { findProtoFiles, type ProtoDefinitions, type ProtoPlaces, readProtoFiles, signatureOf } from './proto-files.ts';
import { type ReflectionServer, reflect } from './reflection.ts';
import { inJsonForm } from './well-known.ts';

/** Files are looked at again so often, while requests are shown. */
const FILES_FRESH_MS = 2_000;
const AS_JSON: protobuf.IConversionOptions = { longs: String, enums: String, bytes: String, json: true };
const REFLECTION_DEADLINE_MS = 2_000;
/** A service without reflection is not asked with every request. */
const REFUSAL_KEPT_MS = 30_000;
/** Definitions kept, by service and name: a client may ask for any name. */
const MOST_KEPT = 200;

/** An instance that takes requests. */
export interface ReadyInstance {
  id: string;
  server: ReflectionServer;
  /** Changes with every start of its process. */
  startedAt: string;
}

export interface MessageTypesOptions {
  /** Null: there is no such service. */
  places: (service: string) => ProtoPlaces | null;
  ready: (service: string) => ReadyInstance[];
  /** Milliseconds of any clock. */
  now: () => number;
  reflect?: typeof reflect;
}

interface Files {
  signature: string;
  checkedAt: number;
  definitions: ProtoDefinitions;
}

interface Reflected {
  /** `id` and start of the instance that was asked. */
  instance: string;
  askedAt: number;
  root: Promise<protobuf.Root | Error>;
}

/** Types of gRPC methods: from configured .proto files, from those beside the service, or from the service itself. */
export function createMessageTypes(options: MessageTypesOptions): MessageDecoder {
  const ask = options.reflect ?? reflect;
  const files = new Map<string, Files>();
  const reflected = new Map<string, Reflected>();

  const readFiles = (service: string, places: ProtoPlaces): ProtoDefinitions => {
    const known = files.get(service);
    const now = options.now();
    if (known !== undefined && now - known.checkedAt < FILES_FRESH_MS) return known.definitions;
    const found = findProtoFiles(places);
    if (known !== undefined && known.signature === signatureOf(found, known.definitions)) {
      known.checkedAt = now;
      return known.definitions;
    }
    const definitions = readProtoFiles(found, places);
    keep(files, service, { signature: signatureOf(found, definitions), checkedAt: now, definitions });
    return definitions;
  };

  const askInstance = (service: string, name: string): Promise<protobuf.Root | Error> => {
    const key = `${service} ${name}`;
    const instances = options.ready(service);
    const known = reflected.get(key);
    const now = options.now();
    const same = instances.some((instance) => identityOf(instance) === known?.instance);
    if (known !== undefined && same && now - known.askedAt < REFUSAL_KEPT_MS) return known.root;
    const [instance] = instances;
    if (instance === undefined) return Promise.resolve(new Error('none of its instances is ready'));
    const root = ask(instance.server, name, REFLECTION_DEADLINE_MS).then(
      (found) => {
        // Good until the instance starts anew.
        entry.askedAt = Number.POSITIVE_INFINITY;
        return found;
      },
      (error: Error) => error,
    );
    const entry: Reflected = { instance: identityOf(instance), askedAt: now, root };
    keep(reflected, key, entry);
    return root;
  };

  return {
    async method(service, url) {
      const [, name, method] = /^\/([\w.]+)\/(\w+)(?:\?|$)/.exec(url) ?? [];
      const places = name === undefined ? null : options.places(service);
      if (places === null) return fail(unknown(url, 'it names no method of a service of this mesh'));
      const { roots, problem: broken } = readFiles(service, places);
      for (const root of roots) {
        const types = typesIn(root, name, method);
        if (types !== null) return ok(types);
      }
      if (broken !== null) return fail(broken);
      const answer = await askInstance(service, name);
      if (answer instanceof Error) {
        const not =
          places.files.length > 0 ? `services.${service}.proto has no ${name}` : `no .proto file beside it has ${name}`;
        return fail(unknown(url, `${not}, and asked for it ${service} said: ${answer.message}`));
      }
      const types = typesIn(answer, name, method);
      return types === null ? fail(unknown(url, `${service} knows no method ${method} of ${name}`)) : ok(types);
    },
  };
}

const identityOf = ({ id, startedAt }: ReadyInstance): string => `${id} ${startedAt}`;

const unknown = (url: string, why: string): Problem =>
  problem('MESH-B103', {
    message: `the types of ${url.slice(0, 200)} are not known: ${why}`,
    hint: 'name its .proto files in `proto` of the service, or give it server reflection',
  });

function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST_KEPT) map.delete(map.keys().next().value!);
}

/** Null: the definitions do not have that method. */
function typesIn(root: protobuf.Root, service: string, method: string): MethodTypes | null {
  try {
    const found = root.lookupService(service).methods[method];
    if (found === undefined) return null;
    const { resolvedRequestType, resolvedResponseType } = found.resolve() as protobuf.Method;
    if (resolvedRequestType === null || resolvedResponseType === null) return null;
    return { request: typeOf(resolvedRequestType), response: typeOf(resolvedResponseType) };
  } catch {
    return null;
  }
}

/** Protobuf's JSON mapping: 64-bit numbers and enums as text, bytes as base64, times as people write them. */
const typeOf = (type: protobuf.Type): MessageType => ({
  name: type.fullName.replace(/^\./, ''),
  decode: (data) => inJsonForm(type, type.toObject(type.decode(data), AS_JSON)),
});
