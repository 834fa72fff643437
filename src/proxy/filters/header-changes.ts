import type { HeaderChanges } from '../../model/resolved.ts';
import { wireText } from '../matcher.ts';
import { deleteHeader, type Headers, setHeader } from '../message.ts';

/**
 * Fields that belong to one connection or to a message's framing (RFC 9110 section 7.6.1, RFC 9112 section 6). The
 * codecs write them; a route that changed one could make two parsers disagree about where a message ends.
 */
const UNTOUCHABLE: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** Changes of header fields in the spelling of the wire. */
export interface CompiledHeaderChanges {
  readonly remove: readonly string[];
  readonly set: readonly (readonly [string, string])[];
  readonly add: readonly (readonly [string, string])[];
}

/** Null when nothing is left to do. Fields that no route may touch are left out. */
export function compileHeaderChanges(policy: HeaderChanges): CompiledHeaderChanges | null {
  const changes: CompiledHeaderChanges = {
    remove: policy.remove.map((name) => name.toLowerCase()).filter(isTouchable),
    set: compileFields(policy.set),
    add: compileFields(policy.add),
  };
  return changes.remove.length + changes.set.length + changes.add.length === 0 ? null : changes;
}

function compileFields(fields: readonly (readonly [string, string])[]): [string, string][] {
  const compiled: [string, string][] = [];
  for (const [rawName, rawValue] of fields) {
    const name = rawName.toLowerCase();
    if (!isTouchable(name)) continue;
    const value = wireText(rawValue).trim();
    // Validation refuses these with a message; one that came through all the same must not split a message.
    for (let i = 0; i < value.length; i++) {
      const c = value.charCodeAt(i);
      if (c === 0 || c === 10 || c === 13) throw new Error(`the value of header ${name} has a line break or NUL`);
    }
    compiled.push([name, value]);
  }
  return compiled;
}

/** Pseudo-header names are no tokens, so they fall out here too. */
function isTouchable(name: string): boolean {
  return !UNTOUCHABLE.has(name) && TOKEN.test(name);
}

/** Removes, then sets, then adds: what a route sets stays even if it also removes it, as in Envoy. */
export function applyHeaderChanges(changes: CompiledHeaderChanges, headers: Headers): void {
  const { remove, set, add } = changes;
  for (let i = 0; i < remove.length; i++) deleteHeader(headers, remove[i]);
  for (let i = 0; i < set.length; i++) setHeader(headers, set[i][0], set[i][1]);
  for (let i = 0; i < add.length; i++) headers.push(add[i][0], add[i][1]);
}
