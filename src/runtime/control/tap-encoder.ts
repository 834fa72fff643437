import path from 'node:path';
import type { ServiceDefinition } from '@grpc/grpc-js';
import Long from 'long';
import protobuf from 'protobufjs';
import type { RequestEvent, TapBatch } from '../../model/events.ts';
import { bodyToWire } from './body-wire.ts';
import { packageRoot } from './package-root.ts';
import { ByteSink, createRecordEncoder } from './record-encoder.ts';
import { headersToWire } from './traffic-wire.ts';

/**
 * Writes the batches of taps, of which a client without a filter gets 20,000 events a second: four times as fast as
 * through `tapBatchToWire`, and the same for who reads it.
 */
export function createTapEncoder(): (batch: TapBatch) => Buffer {
  protobuf.util.Long = Long;
  protobuf.configure();
  const root = new protobuf.Root();
  const directory = path.join(packageRoot(), 'proto');
  root.resolvePath = (_origin, target) => path.join(directory, target);
  root.loadSync('mesh/control/v1/control.proto');
  const numbersOf = (name: string, prefix: string): Readonly<Record<string, number>> =>
    Object.fromEntries(
      Object.entries(root.lookupEnum(`mesh.control.v1.${name}`).values).map(([key, number]) => [
        key.slice(prefix.length).toLowerCase(),
        number,
      ]),
    );
  const directions = numbersOf('Direction', 'DIRECTION_');
  const protocols = numbersOf('Protocol', 'PROTOCOL_');
  const events = createRecordEncoder<RequestEvent>(root.lookupType('mesh.control.v1.RequestEvent'), {
    direction: ({ direction }) => directions[direction],
    protocol: ({ protocol }) => protocols[protocol],
    requestHeaders: ({ requestHeaders }) => headersToWire(requestHeaders),
    responseHeaders: ({ responseHeaders }) => headersToWire(responseHeaders),
    requestBody: ({ requestBody }) => bodyToWire(requestBody),
    responseBody: ({ responseBody }) => bodyToWire(responseBody),
  });
  const batchType = root.lookupType('mesh.control.v1.TapBatch');
  const eventsNumber = batchType.fields.events.id;
  const sink = new ByteSink();
  return (batch) => {
    for (const event of batch.events) events.append(sink, eventsNumber, event);
    // The order of fields does not matter, and a message may be in pieces.
    const rest = batchType.encode(batchType.fromObject({ ...batch, events: [] })).finish();
    return Buffer.concat([sink.take(), rest]);
  };
}

/** The service whose `Tap` sends what `createTapEncoder` has written. */
export function withEncodedTaps(service: ServiceDefinition): ServiceDefinition {
  return { ...service, Tap: { ...service.Tap, responseSerialize: (bytes: Buffer) => bytes } };
}
