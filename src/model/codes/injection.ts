import type { CodeTable } from '../errors.ts';

/** J: processes that mesh did not start. */
export const injectionCodes = {
  'MESH-J101': {
    title: 'nothing listens there',
    explanation: `\`mesh inject\` takes in something that already accepts connections, and nothing does on that port. Start it first, see
what listens with \`ss -ltnp\` (macOS: \`lsof -nP -iTCP -sTCP:LISTEN\`), or let mesh start it with
\`mesh inject --as NAME -- COMMAND\`.`,
  },
  'MESH-J102': {
    title: 'there is no such process',
    explanation: `No process has this pid, or this name in its command line. A number that nothing listens on is taken for a pid.`,
  },
  'MESH-J103': {
    title: 'the process listens on no port',
    explanation: `The process runs and accepts no TCP connections, so there is nothing to put a proxy in front of. It may not have come so
far yet, or it is a child of it that listens: give the port instead.`,
  },
  'MESH-J104': {
    title: 'more than one fits',
    explanation: `The process listens on several ports, or several processes have that name. The message lists them: give the port of the one
you mean.`,
  },
  'MESH-J105': {
    title: 'that port belongs to the mesh',
    explanation: `The port is one of a proxy, of the gateway, of the daemon, or of a process that the mesh runs itself: it is in the mesh
already.`,
  },
  'MESH-J106': {
    title: 'the name is taken',
    explanation: `A service of this name runs, or another process was injected as it. \`--takeover\` sends its requests to your process, all or
with \`--match header=x-dev:me\` or \`--weight 10\` some; \`mesh eject NAME\` frees a name that an injection has; \`--as\`
gives another one.`,
  },
  'MESH-J107': {
    title: 'no permission to see the process',
    explanation: `The process belongs to another user: its ports and its environment cannot be looked at. By its port it can be injected all
the same: \`mesh inject --address 127.0.0.1:PORT --as NAME\`.`,
  },
  'MESH-J108': {
    title: 'the protocol cannot be told',
    explanation: `The port accepts connections and answered none of the probes: HTTP/1.1, HTTP/2, gRPC, TLS, and a greeting of its own. Say
what it speaks: \`--protocol tcp\` passes bytes on as they are.`,
  },
  'MESH-J109': {
    title: 'the service cannot be taken over like this',
    explanation: `A task takes no requests; raw TCP has no headers to match; an external service can be replaced as a whole only; and a process
that shares the requests of a service must speak what the service speaks.`,
  },
  'MESH-J110': {
    title: 'there is no such injection',
    explanation: `\`mesh eject\` takes the name of an injected instance or of its service; \`mesh ps\` shows them as \`injected\`.`,
  },
  'MESH-J111': {
    title: 'an option of mesh inject is wrong',
    explanation: `Names of services have lowercase letters, digits and \`-\`; \`--weight\` is a number from 1 to 99; \`--match\` reads
\`header=NAME:VALUE\`; \`--address\` reads \`HOST:PORT\`.`,
  },
  'MESH-J112': {
    title: 'an injected process is gone',
    explanation: `The process ended, or no longer accepts connections on its port. Its endpoint was removed; a service that it had taken
over has its own instances back. With \`--sticky\` it is taken in again when something listens there again.`,
  },
  'MESH-J113': {
    title: 'the injected endpoint does not answer',
    explanation: `The process was taken in, but a request through its inbound proxy failed. The coverage report says what came back.`,
  },
  'MESH-J114': {
    title: 'injections cannot be kept',
    explanation: `.mesh/injections.json cannot be written or read. The injections are in force; the next daemon will not know them.`,
  },
} as const satisfies CodeTable<'J'>;
