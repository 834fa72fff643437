import type { CodeTable } from '../errors.ts';

/** P: processes of services. */
export const processCodes = {
  'MESH-P101': {
    title: 'the program was not found',
    explanation: `The first word of \`command\` is neither a file nor a program on the PATH. mesh looks in node_modules/.bin of the service's
\`cwd\` and of the directories above it, then on your PATH. Install it, or correct the command or \`cwd\`.`,
  },
  'MESH-P102': {
    title: 'the service ended at once',
    explanation: `The process exited before it was ready. The last lines of its log say why: \`mesh logs SERVICE\`. It is started again as
\`restart\` says.`,
  },
  'MESH-P103': {
    title: 'the service did not become ready',
    explanation: `The process runs, but its readiness (or startup) probe did not pass before \`deadline\` (60s unless set). The service must
listen on the port in the environment variable PORT, on 127.0.0.1 or all interfaces. For a service with a port of its own
write \`port: 3000\`; for one that needs longer \`readiness: { http: '/health', deadline: '3m' }\`.`,
  },
  'MESH-P104': {
    title: 'the build failed',
    explanation: `The \`build\` command of the service ended with an error; its output is in \`mesh logs SERVICE\`. An instance that already
runs keeps serving until a build succeeds.`,
  },
  'MESH-P105': {
    title: 'the service failed too often',
    explanation: `The process failed \`restart.attempts\` times in a row and is not started again. After repairing it run
\`mesh start SERVICE\`, or save the configuration with a change to it.`,
  },
  'MESH-P106': {
    title: 'a process does not end',
    explanation: `The process did not end on its stop signal within \`stop.grace\`, nor on SIGKILL; the message has its pid. It may wait for
a device or a network file system.`,
  },
  'MESH-P107': {
    title: 'the working directory does not exist',
    explanation: `\`cwd\` is taken relative to the directory of mesh.config.ts and must be an existing directory.`,
  },
  'MESH-P108': {
    title: 'an environment file cannot be read',
    explanation: `A file of \`envFile\` is missing or not in dotenv form (NAME=value, one a line). Paths are relative to mesh.config.ts.`,
  },
  'MESH-P109': {
    title: 'a task failed',
    explanation: `A service with \`task: true\` ended with an error, so that what waits for \`completed\` does not start. See
\`mesh logs SERVICE\`; run it again with \`mesh start SERVICE\`.`,
  },
  'MESH-P110': {
    title: 'a dependency failed',
    explanation: `The service waits for another one that failed and is not restarted. Repair that one first.`,
  },
  'MESH-P111': {
    title: 'a process cannot be started',
    explanation: `The operating system refused to start the process: no permission to execute the file, too many processes, or no memory.`,
  },
} as const satisfies CodeTable<'P'>;

/** N: ports, listeners and data planes. */
export const networkCodes = {
  'MESH-N101': {
    title: 'a port is in use',
    explanation: `A fixed port of the configuration is taken by another process, which the message names where the system tells. Stop it, or
choose another port. Services without \`port\` get a free one.`,
  },
  'MESH-N102': {
    title: 'a port needs privileges',
    explanation: `Ports below 1024 are reserved for root on this system. Choose a higher one, such as 8080 and 8443.`,
  },
  'MESH-N103': {
    title: 'no port is free',
    explanation: `The system has no free port left to hand out, or this process may open no more sockets (see \`ulimit -n\`).`,
  },
  'MESH-N104': {
    title: 'the proxies refused a configuration',
    explanation: `A data plane could not prepare the new configuration, so all keep the old one. The message has its reason.`,
  },
  'MESH-N105': {
    title: 'a data plane ended',
    explanation: `A process that holds the proxies ended unexpectedly. A new one takes over its listeners; requests that were in it failed.
.mesh/daemon.log has its last words.`,
  },
  'MESH-N106': {
    title: 'the port of the admin server is taken',
    explanation: `Another process listens on the port of \`telemetry.admin\`, or it cannot be used. The mesh runs without /metrics until the
port is free and the configuration is saved again, or another port is chosen.`,
  },
} as const satisfies CodeTable<'N'>;

/** U: how commands are used. */
export const usageCodes = {
  'MESH-U101': {
    title: 'an unknown command',
    explanation: `There is no such command. \`mesh help\` lists them.`,
  },
  'MESH-U102': {
    title: 'a wrong flag or argument',
    explanation: `The command does not take this flag or argument. \`mesh COMMAND --help\` shows what it takes, with examples.`,
  },
  'MESH-U103': {
    title: 'an unknown service',
    explanation: `The mesh has no service of that name. \`mesh ps\` lists them.`,
  },
  'MESH-U104': {
    title: 'an unknown code',
    explanation: `\`mesh validate --explain\` takes a code as it stands in a message, such as MESH-C101.`,
  },
  'MESH-U105': {
    title: 'waited too long',
    explanation: `What the command waited for did not happen within --timeout. \`mesh ps\` shows what each service waits for.`,
  },
  'MESH-U106': {
    title: 'a file is in the way',
    explanation: `The command would overwrite a file that is already there. Remove it, or choose another place.`,
  },
  'MESH-U107': {
    title: 'the service cannot be asked that',
    explanation: `External services are not started, stopped or scaled by mesh; tasks are not scaled; a service with a fixed port has one
instance.`,
  },
} as const satisfies CodeTable<'U'>;
