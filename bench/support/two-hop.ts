import { startTestMesh } from '../../test/support/proxy-mesh.ts';

/** One process with both proxies in front of an HTTP/1.1 and an h2c application; prints the ports to call. */
const [h1, h2] = process.argv.slice(2).map(Number);
const mesh = await startTestMesh({ one: { apps: [{ port: h1 }] }, two: { protocol: 'grpc', apps: [{ port: h2 }] } });
process.stdout.write(`${JSON.stringify({ h1: mesh.dependency.one, h2: mesh.dependency.two })}\n`);
process.on('SIGTERM', () => void mesh.close().then(() => process.exit()));
