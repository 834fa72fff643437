import type { CodeTable } from '../errors.ts';

/** B: bodies of requests as taps show them. */
export const bodyCodes = {
  'MESH-B101': {
    title: 'a .proto file does not exist',
    explanation: `A path of \`services.X.proto\` names no file. Paths are relative to mesh.config.ts. Correct it, or leave \`proto\` out: then
mesh looks for .proto files in \`cwd\` and in \`cwd/proto\`, and asks the service itself by gRPC server reflection.`,
  },
  'MESH-B102': {
    title: 'a .proto file cannot be read',
    explanation: `A .proto file of the service has a syntax error, or imports a file that is neither beside it nor below the directories of
the service. Only the sizes of its messages are shown until it is repaired; traffic does not depend on it.`,
  },
  'MESH-B103': {
    title: 'the types of a gRPC method are not known',
    explanation: `To show gRPC messages as JSON mesh needs their types: from \`services.X.proto\`, from .proto files in \`cwd\` or
\`cwd/proto\`, or from the service itself if it has gRPC server reflection. Without them only sizes are shown, because
secret fields could not be told from others.`,
  },
  'MESH-B104': {
    title: 'a body cannot be decompressed',
    explanation: `The body is compressed in a way that this version of Node does not know, or it is damaged. It is not shown, since secrets in
it could not be redacted. gzip, deflate and br are always known, zstd from Node 22.15 on.`,
  },
  'MESH-B105': {
    title: 'a body is not shown whole',
    explanation: `The body grew to more than what is shown when it was decompressed, or so many bodies were under way at once that the data
plane kept no more of them. Ask for fewer requests (\`--path\`, \`--max-rps\`) or a smaller \`--body-limit\`.`,
  },
  'MESH-B106': {
    title: 'a message cannot be decoded',
    explanation: `The bytes are no message of the type that the .proto files or the service's reflection give for this method. They may be
older or newer than the service.`,
  },
} as const satisfies CodeTable<'B'>;
