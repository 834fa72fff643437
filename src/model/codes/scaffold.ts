import type { CodeTable } from '../errors.ts';

/** N15x to N17x: `mesh new`. */
export const scaffoldCodes = {
  'MESH-N150': {
    title: 'an unknown template',
    explanation: `\`mesh new\` has no template of that name. \`mesh new --list\` shows them with what each writes.`,
  },
  'MESH-N151': {
    title: 'a name that cannot be used',
    explanation: `The name becomes a service, a folder, a package and identifiers in code, so it consists of lowercase letters, digits
and single \`-\`, begins with a letter and has at most 40 characters. \`gateway\` and words of the languages (class, import)
are taken.
  mesh new grpc-service shopping-carts`,
  },
  'MESH-N152': {
    title: 'the mesh has this service already',
    explanation: `\`services\` of mesh.config.ts has an entry of that name. Choose another name. A template that can be added to an
existing service (\`mesh new outbox orders\`) does so instead.`,
  },
  'MESH-N153': {
    title: 'files are in the way',
    explanation: `\`mesh new\` overwrites nothing. Choose another folder with --into DIR, or say --force: then files of the same name are
replaced and the others stay. \`--dry-run\` shows the difference.`,
  },
  'MESH-N154': {
    title: 'the template has no such option or value',
    explanation: `Options belong to templates. \`mesh new --list\` shows those of each with their values.`,
  },
  'MESH-N155': {
    title: 'a name that the template uses itself',
    explanation: `With this name, two different things in the generated code would have the same name. Choose another name, or another
word for what the service is about:
  mesh new grpc-service billing --entity invoice`,
  },
  'MESH-N156': {
    title: 'mesh.config.ts cannot be edited safely',
    explanation: `\`mesh new\` adds a service as text, so that formatting and comments stay. Where \`services\` is spread, computed or
returned by a function, the place to add it is not certain. The project is written and the file is left alone: paste the
lines that are printed.`,
  },
  'MESH-N157': {
    title: 'the files cannot be written',
    explanation: `The disk is full, or the folder is not writable. What had been written was removed again.`,
  },
  'MESH-N158': {
    title: 'what comes after writing the project failed',
    explanation: `The project was rendered, but a command that completes it (\`npm install\`, \`go mod tidy\`) failed. Everything was removed
again. \`--no-install\` leaves that step out; it then has to be run by hand before the service can start.`,
  },
  'MESH-N159': {
    title: 'a template that is not whole',
    explanation: `A file of the template cannot be read or does not follow templates/README.md. Install the package localmesh again.`,
  },
  'MESH-N160': {
    title: 'something that `mesh new` needs to know is missing',
    explanation: `Without a terminal (or with CI=1) nothing is asked, so the template and the name have to be given:
  mesh new grpc-service orders`,
  },
} as const satisfies CodeTable<'N'>;
