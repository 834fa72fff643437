/** What each response flag says, with what it usually comes from: in the words of a sentence. */
const MEANINGS: Readonly<Record<string, string>> = {
  UH: 'no healthy endpoint: no instance was ready, and none became so in time',
  UF: 'upstream connection failure: no connection to the instance; nothing of the request reached the application',
  UC: 'upstream connection termination: the connection broke while the request was under way, as when a process ends',
  UR: 'upstream remote reset: the other side refused or reset the request',
  UO: 'upstream overflow: too many requests were waiting for an instance already',
  UT: 'upstream request timeout: no complete response within the timeout',
  NR: 'no route: no rule of the table takes such a request',
  NC: 'no cluster: the name is not one of a service of this mesh',
  DC: 'downstream connection termination: the client went away before the response was complete',
  DPE: 'downstream protocol error: the client sent something that is not valid HTTP',
  UPE: 'upstream protocol error: the application answered with something that is not a valid response',
  URX: 'the limit of retries was reached',
  SI: 'stream idle timeout: nothing was sent in either direction for too long',
  OM: 'overload: the proxy itself refused',
  LR: 'the proxy was draining or shutting down',
};

/** In words; a flag that is not known stands for itself. */
export const meaningOfFlag = (flag: string): string => MEANINGS[flag] ?? `response flag ${flag}`;

/** Flags of a span, `UF` or `UF,URX`, each with its meaning. */
export const meaningsOfFlags = (flags: string): { flag: string; meaning: string }[] =>
  flags
    .split(/[, ]+/)
    .filter((flag) => flag !== '')
    .map((flag) => ({ flag, meaning: meaningOfFlag(flag) }));
