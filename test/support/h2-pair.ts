import { H2Connection } from '../../src/proxy/http2/connection.ts';
import type { H2Events } from '../../src/proxy/http2/events.ts';
import type { H2Options } from '../../src/proxy/http2/options.ts';
import { OutBuffer } from '../../src/proxy/out-buffer.ts';

/** A client and a server connection whose bytes go to each other in memory, when told to. */
export class H2Pair {
  readonly clientOut = new OutBuffer(() => {});
  readonly serverOut = new OutBuffer(() => {});
  client!: H2Connection;
  server!: H2Connection;

  connect(
    clientEvents: H2Events,
    serverEvents: H2Events,
    clientOptions: Partial<H2Options> = {},
    serverOptions: Partial<H2Options> = {},
  ): this {
    this.client = new H2Connection('client', this.clientOut, clientEvents, clientOptions);
    this.server = new H2Connection('server', this.serverOut, serverEvents, serverOptions);
    return this;
  }

  /** Carries what the client has written to the server. */
  toServer(): number {
    return carry(this.clientOut, this.server);
  }

  /** Carries what the server has written to the client. */
  toClient(): number {
    return carry(this.serverOut, this.client);
  }

  /** Carries bytes both ways until there are none. */
  settle(): void {
    while (this.toServer() + this.toClient() > 0);
  }
}

function carry(from: OutBuffer, to: H2Connection): number {
  let bytes = 0;
  for (const chunk of from.take()) {
    bytes += chunk.length;
    to.receive(chunk);
  }
  return bytes;
}
