import type { CodeTable } from '../errors.ts';

/** R: the daemon and its control socket. */
export const runtimeCodes = {
  'MESH-R101': {
    title: 'no mesh is running here',
    explanation: `The command talks to the daemon of the mesh whose mesh.config.ts is nearest, and none is running. Start it with \`mesh up\`,
or go to the directory of the mesh you mean.`,
  },
  'MESH-R102': {
    title: 'this mesh runs already',
    explanation: `One daemon serves a mesh; it answers on the control socket in .mesh/. See what runs with \`mesh ps\`, stop it with
\`mesh down\`. A second mesh needs a directory of its own.`,
  },
  'MESH-R103': {
    title: 'the control socket cannot be created',
    explanation: `The daemon listens on a unix socket in .mesh/. The directory must be writable by you and on a local file system.`,
  },
  'MESH-R104': {
    title: 'the daemon does not answer',
    explanation: `The control socket is there but nobody answers on it in time: the daemon is suspended or overloaded. \`mesh down\` ends it
in any state.`,
  },
  'MESH-R105': {
    title: 'the mesh belongs to another user',
    explanation: `The control socket can be used only by the user who started the mesh. Do not mix \`mesh\` and \`sudo mesh\`.`,
  },
  'MESH-R106': {
    title: 'the connection to the daemon was lost',
    explanation: `The daemon ended, or was killed, while the command waited. .mesh/daemon.log has its last words. \`mesh down\` clears what
is left, \`mesh up\` starts anew.`,
  },
  'MESH-R107': {
    title: 'the daemon failed',
    explanation: `Something happened in the daemon that should not. .mesh/daemon.log has the stack. This is a defect of mesh: please report it.`,
  },
  'MESH-R108': {
    title: 'this version of Node.js is too old',
    explanation: `mesh needs Node.js 20.19 or later, or any of 22, 24 and 26. \`node --version\` shows yours.`,
  },
  'MESH-R109': {
    title: 'the daemon did not start',
    explanation: `The daemon ended before it could answer. Its last words are in .mesh/daemon.log.`,
  },
  'MESH-R120': {
    title: 'the data plane has another version',
    explanation: `The control plane sent a change to a snapshot that the data plane does not have. It is sent whole then; nothing is lost.`,
  },
  'MESH-R121': {
    title: 'routes do not compile',
    explanation: `The proxies cannot build a route table, although the configuration was found valid: a defect of mesh, please report it.
The routes before stay in force.`,
  },
  'MESH-R122': {
    title: 'a certificate cannot be used',
    explanation: `The proxies cannot load a certificate that the mesh's authority issued. The one before stays in force. \`mesh certs rotate\`
issues new ones; if that does not help, \`mesh down\`, delete .mesh/identity and \`mesh up\`.`,
  },
  'MESH-R130': {
    title: 'the data plane does not start',
    explanation: `The process that holds the proxies ended before it was ready. Its last words are in .mesh/data-plane.log.`,
  },
  'MESH-R131': {
    title: 'this change needs a new start',
    explanation: `A running mesh keeps its name, trust domain, namespace and number of data planes: they are part of every identity and
address that it gave out. Run \`mesh down\` and \`mesh up\`, or take the change back; until then the configuration before
stays in force.`,
  },
  'MESH-R140': {
    title: 'no such trace',
    explanation: `There is no trace with this ID, or none that begins so. Traces are kept in .mesh/traces up to 64 MiB, the oldest go first;
above \`telemetry.traces.maxPerSecond\` and below \`telemetry.traces.sample\` not every request is kept. \`mesh trace\` lists
those that there are.`,
  },
  'MESH-R141': {
    title: 'the ID of a trace is not unique',
    explanation: `Several traces begin with what was given. A few more digits of the ID tell them apart.`,
  },
  'MESH-R142': {
    title: 'spans of services cannot be received',
    explanation: `The daemon could not listen on a port of 127.0.0.1 for OTLP. Traces show the proxies' part only; the rest of the mesh
is not concerned.`,
  },
  'MESH-R143': {
    title: 'traces cannot be exported',
    explanation: `The collector that \`telemetry.otlp\` names does not take what is sent to it. It is tried again with growing pauses; what
does not fit into the queue meanwhile is left out. Requests and \`mesh trace\` are not concerned.`,
  },
} as const satisfies CodeTable<'R'>;

/** S: the state directory `.mesh/`. */
export const stateCodes = {
  'MESH-S101': {
    title: 'the state directory cannot be written',
    explanation: `mesh keeps its socket, logs, keys and ledger in .mesh/ beside mesh.config.ts. The directory must be writable by you; one
made by \`sudo mesh\` belongs to root: \`sudo chown -R "$USER" .mesh\`.`,
  },
  'MESH-S102': {
    title: 'no space left',
    explanation: `The disk, or your quota, is full, so that mesh cannot record what it starts. Free some space and try again.`,
  },
  'MESH-S103': {
    title: 'state of another version',
    explanation: `.mesh/ was written by another version of mesh, which lays it out differently. Stop that mesh with its own version, then
delete .mesh/: it holds nothing that is not made anew.`,
  },
  'MESH-S104': {
    title: 'damaged state',
    explanation: `A file in .mesh/ is not what mesh wrote. Stop the mesh if it runs, then delete .mesh/: it is made anew.`,
  },
  'MESH-S105': {
    title: 'the folder for the control socket is not safe',
    explanation: `The path of the project is too long for a unix socket, so the socket goes into a folder of your own elsewhere. That folder
belongs to, or is open to, somebody else. Remove it, or set XDG_RUNTIME_DIR to a folder of yours.`,
  },
  'MESH-S110': {
    title: 'another mesh command holds this mesh',
    explanation: `Only one \`mesh up\` can start a mesh at a time. See what runs with \`mesh ps\`, stop it with \`mesh down\`.`,
  },
} as const satisfies CodeTable<'S'>;
