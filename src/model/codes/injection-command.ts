import type { CodeTable } from '../errors.ts';

/** J2xx: commands that `mesh inject` starts, and live Node.js processes that it attaches to. */
export const injectionCommandCodes = {
  'MESH-J201': {
    title: 'not a Node.js process',
    explanation: `\`--attach\` speaks to the inspector that is built into Node.js, which other programs do not have; the signal that opens it
would end them. What works for any program: restart it with \`mesh inject --as SERVICE -- COMMAND\`, or use \`--transparent\`
on Linux.`,
  },
  'MESH-J202': {
    title: 'the process belongs to another user',
    explanation: `Only its own user (or root) may signal a process and look at its sockets. Run the mesh as the user of the process.`,
  },
  'MESH-J203': {
    title: 'the inspector does not open',
    explanation: `The process got SIGUSR1 and opened no inspector. It was started with \`--disable-sigusr1\`, has a SIGUSR1 listener of its own
(which has run now), or its event loop is blocked. Start it with \`--inspect=127.0.0.1:0\`, which needs no signal, or
restart it
with \`mesh inject --as SERVICE -- COMMAND\`.`,
  },
  'MESH-J204': {
    title: 'the port of the inspector is taken',
    explanation: `A Node.js process opens its inspector on 127.0.0.1:9229 unless it was started with \`--inspect-port\`, and another process
holds that port, most often one that is being debugged. End that debugging session, or start the process with
\`--inspect-port=0\`.`,
  },
  'MESH-J205': {
    title: 'the inspector does not answer',
    explanation: `The inspector took the connection, but the process did not answer in time: it stands at a breakpoint, or its event loop is
blocked. Nothing was changed, unless the message says so.`,
  },
  'MESH-J206': {
    title: 'the process cannot be patched',
    explanation: `The program has changed \`net\` or \`dns\` of Node.js so that they cannot be replaced (frozen intrinsics, a permission model),
or another mesh is attached to it. Eject it there, or restart it with \`mesh inject --as SERVICE -- COMMAND\`.`,
  },
  'MESH-J207': {
    title: 'the process has ended',
    explanation: `There is no process with this pid any more. \`mesh ps\` shows what runs; find the new pid, or inject it by its port.`,
  },
  'MESH-J208': {
    title: 'the process is in a network of its own',
    explanation: `The process runs in another network namespace (a container), where its 127.0.0.1 is not this machine's: neither its inspector
nor the listeners of the mesh can be reached across. Take it in by address: \`mesh inject --address HOST:PORT --as SERVICE\`.`,
  },
  'MESH-J209': {
    title: 'the record of attached processes cannot be written',
    explanation: `.mesh/attached.json tells a later daemon which processes it has to restore, so nothing is changed in a process before it is
there. The disk is full, or .mesh cannot be written.`,
  },
  'MESH-J210': {
    title: 'the command cannot be started',
    explanation: `The program after \`--\` is not on PATH (exit code 127) or may not be executed (126). It is started without a shell: for pipes
and variables say \`-- sh -c '...'\`.`,
  },
  'MESH-J211': {
    title: 'the shell of this session cannot be found',
    explanation: `\`mesh inject --env\` ties the workload to the shell that evaluates its output, and ejects it when that shell ends. It was not
started by one: use \`mesh inject --as SERVICE -- COMMAND\` there.`,
  },
} as const satisfies CodeTable<'J'>;
