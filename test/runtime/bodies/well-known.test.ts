import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { inJsonForm } from '../../../src/runtime/bodies/well-known.ts';

const DEFINITION = `
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/field_mask.proto";
message Order {
  google.protobuf.Timestamp at = 1;
  repeated google.protobuf.Duration waits = 2;
  map<string, google.protobuf.Timestamp> seen = 3;
  google.protobuf.Struct extra = 4;
  google.protobuf.StringValue note = 5;
  google.protobuf.Int64Value number = 6;
  google.protobuf.FieldMask mask = 7;
  Order part_of = 8;
  int32 cents = 9;
}`;

function definitions(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => target;
  for (const name of ['timestamp', 'duration', 'struct', 'wrappers', 'field_mask'])
    root.addJSON(protobuf.common.get(`google/protobuf/${name}.proto`)!.nested!);
  protobuf.parse(DEFINITION, root);
  return root.resolveAll() as protobuf.Root;
}

const Order = definitions().lookupType('shop.Order');
const shown = (message: object, type = Order) =>
  inJsonForm(
    type,
    type.toObject(type.decode(type.encode(type.fromObject(message)).finish()), {
      longs: String,
      enums: String,
      bytes: String,
      json: true,
    }),
  );

describe('messages of google/protobuf', () => {
  it('have the forms of the JSON mapping, wherever they stand', () => {
    expect(
      shown({
        at: { seconds: 1_780_000_000, nanos: 120_000_000 },
        waits: [{ seconds: 1 }, { seconds: -1, nanos: -500_000 }, { nanos: 1 }, {}],
        seen: { a: { seconds: 0 } },
        extra: {
          fields: {
            n: { numberValue: 1.5 },
            list: { listValue: { values: [{ boolValue: false }, { nullValue: 0 }, { stringValue: 'x' }] } },
            deep: { structValue: { fields: {} } },
          },
        },
        note: {},
        number: { value: '9007199254740993' },
        mask: { paths: ['a', 'b.c'] },
        partOf: { at: { nanos: 1_000 }, cents: 5 },
      }),
    ).toEqual({
      at: '2026-05-28T20:26:40.120Z',
      waits: ['1s', '-1.000500s', '0.000000001s', '0s'],
      seen: { a: '1970-01-01T00:00:00Z' },
      extra: { n: 1.5, list: [false, null, 'x'], deep: {} },
      note: '',
      number: '9007199254740993',
      mask: 'a,b.c',
      partOf: { at: '1970-01-01T00:00:00.000001Z', cents: 5 },
    });
  });

  it('are shown as they came where they are out of range', () => {
    expect(shown({ at: { seconds: '253402300800' } })).toEqual({ at: { seconds: '253402300800' } });
    expect(shown({ at: { nanos: -1 } })).toEqual({ at: { nanos: -1 } });
  });

  it('keep every moment exactly', () => {
    const Timestamp = Order.root.lookupType('google.protobuf.Timestamp');
    fc.assert(
      fc.property(
        fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }),
        fc.integer({ min: 0, max: 999_999_999 }),
        (seconds, nanos) => {
          const text = shown({ seconds, nanos }, Timestamp) as string;
          const [, whole, part = ''] = /^(.{19})(?:\.(\d+))?Z$/.exec(text)!;
          expect(Date.parse(`${whole}Z`) / 1_000).toBe(seconds);
          expect(Number(part.padEnd(9, '0'))).toBe(nanos);
        },
      ),
    );
  });
});
