/** The service on whose ports the load comes in: says what it was given, and does nothing else. */
import { writeFileSync } from 'node:fs';
import net from 'node:net';

writeFileSync('client-environment.json', JSON.stringify(process.env));
net.createServer((socket) => socket.destroy()).listen(Number(process.env.PORT), '127.0.0.1');
