/**
 * What sockets cost in Node with nothing on them: answers every request with the same text, `node bare-sockets.mjs`,
 * and prints its port.
 */
import net from 'node:net';

const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const onData = function (this: net.Socket) {
  this.write(ANSWER);
};
const onError = () => {};
const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on('data', onData);
  socket.on('error', onError);
});
server.listen(0, '127.0.0.1', 1_024, () => process.stdout.write(`${(server.address() as net.AddressInfo).port}\n`));
process.on('SIGTERM', () => process.exit());
