import { createServer } from 'node:tls';
import { signCertificate } from './certificate.ts';
import { generateKeyPair } from './csr.ts';
import { findTool, runTool, type ToolRun } from './external-tools.ts';
import type { RootAuthority } from './root.ts';

/** Whether programs of this machine trust the root, by the word of one that tried. */
export interface SystemTrust {
  /** `unknown`: no program to try with, or none came to a verdict. */
  readonly state: 'trusted' | 'untrusted' | 'unknown';
  /** Who tried: `curl`, `openssl`, `node`. */
  readonly client?: 'curl' | 'openssl' | 'node';
  readonly detail: string;
}

export interface SystemTrustOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly platform?: NodeJS.Platform;
  /** Node's own program, for versions that can use the system's store. Default: the running one. */
  readonly node?: { readonly path: string; readonly useSystemCa: boolean };
}

interface Client {
  readonly name: 'curl' | 'openssl' | 'node';
  readonly argv: (port: number) => readonly string[];
  readonly verdict: (run: ToolRun) => 'trusted' | 'untrusted' | 'unknown';
}

const VALIDITY_MS = 10 * 60_000;
const ATTEMPT_TIMEOUT_MS = 10_000;
/** They would make the client trust something else than the system does. */
const OVERRIDES = [
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'CURL_CA_BUNDLE',
  'NODE_EXTRA_CA_CERTS',
  'NODE_OPTIONS',
  'CURL_HOME',
];

/**
 * Whether the system trusts the root, found out by a real handshake: a server on loopback shows a certificate under the
 * root, and a program that goes by the system's store connects. Looking into the store instead says what is written
 * there, not what is believed.
 */
export async function isTrustedBySystem(root: RootAuthority, options: SystemTrustOptions): Promise<SystemTrust> {
  const { env = process.env, platform = process.platform } = options;
  const { certificate, privateKey } = probeCertificate(root, options.now);
  const server = createServer({ cert: certificate, key: privateKey }, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n'));
  });
  // A client that refuses the certificate ends the connection: that is an answer, not a failure of the server.
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  try {
    const { port } = server.address() as { port: number };
    const clean = Object.fromEntries(Object.entries(env).filter(([name]) => !OVERRIDES.includes(name)));
    const inconclusive: string[] = [];
    for (const client of await clients(options, clean, platform)) {
      const run = await runTool(client.argv(port), { env: clean, timeoutMs: ATTEMPT_TIMEOUT_MS });
      const state = client.verdict(run);
      const said = telling(run.output);
      if (state !== 'unknown') return { state, client: client.name, detail: detail(client.name, state, said) };
      inconclusive.push(`${client.name}: ${said || `exit code ${run.exitCode}`}`);
    }
    const why = inconclusive.length === 0 ? 'neither curl nor openssl is installed' : inconclusive.join('; ');
    return { state: 'unknown', detail: `could not be tried: ${why}` };
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

async function clients(
  options: SystemTrustOptions,
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
): Promise<readonly Client[]> {
  const curl = await findTool('curl', env, platform);
  const openssl = await findTool('openssl', env, platform);
  const node = options.node ?? {
    path: process.execPath,
    useSystemCa: process.allowedNodeEnvironmentFlags.has('--use-system-ca'),
  };
  return [
    ...(curl === undefined ? [] : [curlClient(curl, platform)]),
    ...(openssl === undefined ? [] : [opensslClient(openssl)]),
    ...(node.useSystemCa ? [nodeClient(node.path)] : []),
  ];
}

function curlClient(path: string, platform: NodeJS.Platform): Client {
  // Windows' own curl asks for revocation lists, which a private authority has not.
  const revocation = platform === 'win32' ? ['--ssl-no-revoke'] : [];
  return {
    name: 'curl',
    // -q comes first: no .curlrc, which could hold --insecure.
    argv: (port) => [
      path,
      '-q',
      '-sS',
      '--noproxy',
      '*',
      '--max-time',
      '5',
      ...revocation,
      `https://127.0.0.1:${port}/`,
    ],
    // 60: the peer's certificate cannot be authenticated; 51 in versions before 7.62.
    verdict: ({ exitCode }) =>
      exitCode === 0 ? 'trusted' : exitCode === 60 || exitCode === 51 ? 'untrusted' : 'unknown',
  };
}

function opensslClient(path: string): Client {
  return {
    name: 'openssl',
    argv: (port) => [
      path,
      's_client',
      '-connect',
      `127.0.0.1:${port}`,
      '-verify_return_error',
      '-verify_ip',
      '127.0.0.1',
    ],
    verdict: ({ output }) => {
      if (/Verify return code: 0 \(ok\)/.test(output)) return 'trusted';
      return /verify error|Verify return code: [1-9]/.test(output) ? 'untrusted' : 'unknown';
    },
  };
}

function nodeClient(path: string): Client {
  const script = `
    const socket = require('node:tls').connect({ host: '127.0.0.1', port: Number(process.argv[1]), rejectUnauthorized: false }, () => {
      console.log(socket.authorized ? 'authorized' : 'refused: ' + socket.authorizationError);
      socket.destroy();
    });`;
  return {
    name: 'node',
    argv: (port) => [path, '--use-system-ca', '-e', script, String(port)],
    verdict: ({ exitCode, output }) => {
      if (exitCode !== 0) return 'unknown';
      return /^authorized/m.test(output) ? 'trusted' : /^refused/m.test(output) ? 'untrusted' : 'unknown';
    },
  };
}

function detail(client: string, state: 'trusted' | 'untrusted', said: string): string {
  return state === 'trusted' ? `${client} accepted a certificate under the root` : `${client} refused it: ${said}`;
}

/** The line that says why, out of all that a program prints. */
function telling(output: string): string {
  const lines = output.trim().split('\n');
  return lines.find((line) => /^curl: |^verify error|^refused/.test(line)) ?? lines.at(-1) ?? '';
}

/** A short-lived server certificate directly under the root, so that no mesh is needed to ask. */
function probeCertificate(root: RootAuthority, now: number): { certificate: string; privateKey: string } {
  const keys = generateKeyPair();
  const { pem } = signCertificate(
    {
      subject: [['CN', 'mesh doctor']],
      publicKey: keys.publicKey,
      notBefore: now - 60_000,
      notAfter: now + VALIDITY_MS,
      names: { uris: [], dns: ['localhost'], ips: ['127.0.0.1'] },
      use: { kind: 'server' },
    },
    root.signer,
  );
  return { certificate: pem, privateKey: keys.privateKeyPem };
}
