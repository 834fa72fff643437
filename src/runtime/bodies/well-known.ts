import protobuf from 'protobufjs';

/**
 * Messages of google/protobuf that have a form of their own in protobuf's JSON mapping, from the objects that protobufjs
 * makes of them: a timestamp is text for people, not seconds and nanoseconds.
 */
const FORMS: Readonly<Record<string, (message: Record<string, unknown>) => unknown>> = {
  Timestamp: timestamp,
  Duration: ({ seconds, nanos }) => `${decimal(seconds, nanos)}s`,
  FieldMask: ({ paths }) => ((paths as string[] | undefined) ?? []).join(','),
  Struct: struct,
  Value: value,
  ListValue: list,
  DoubleValue: wrapped(0),
  FloatValue: wrapped(0),
  Int64Value: wrapped('0'),
  UInt64Value: wrapped('0'),
  Int32Value: wrapped(0),
  UInt32Value: wrapped(0),
  BoolValue: wrapped(false),
  StringValue: wrapped(''),
  BytesValue: wrapped(''),
};
const PACKAGE = '.google.protobuf.';

/** @param message as `type.toObject` has made it, with 64-bit numbers as text; changed in place where it is no form */
export function inJsonForm(type: protobuf.Type, message: Record<string, unknown>): unknown {
  const name = type.fullName;
  const form = name.startsWith(PACKAGE) ? FORMS[name.slice(PACKAGE.length)] : undefined;
  if (form !== undefined) return form(message);
  for (const field of type.fieldsArray) {
    const { resolvedType } = field;
    const held = message[field.name];
    if (!(resolvedType instanceof protobuf.Type) || held === undefined || held === null) continue;
    const each = (one: unknown) => inJsonForm(resolvedType, one as Record<string, unknown>);
    if (field.repeated) message[field.name] = (held as unknown[]).map(each);
    else if (field instanceof protobuf.MapField) message[field.name] = mapped(held as Record<string, unknown>, each);
    else message[field.name] = each(held);
  }
  return message;
}

/** What is out of range is shown as it came: it is the sender's mistake, and of interest. */
function timestamp(message: Record<string, unknown>): unknown {
  const seconds = Number(message.seconds ?? 0);
  const nanos = Number(message.nanos ?? 0);
  const time = new Date(seconds * 1_000);
  const year = time.getUTCFullYear();
  if (!(year >= 1 && year <= 9_999) || nanos < 0 || nanos >= 1e9) return message;
  return `${time.toISOString().slice(0, 19)}${fraction(nanos)}Z`;
}

/** Both have the same sign, or are 0. */
function decimal(seconds: unknown, nanos: unknown): string {
  const part = Number(nanos ?? 0);
  const whole = String(seconds ?? '0');
  const negative = whole.startsWith('-') || part < 0;
  return `${negative ? '-' : ''}${whole.replace('-', '')}${fraction(Math.abs(part))}`;
}

/** None, or 3, 6 or 9 digits. */
function fraction(nanos: number): string {
  if (nanos === 0) return '';
  const digits = String(nanos).padStart(9, '0');
  return `.${digits.endsWith('000000') ? digits.slice(0, 3) : digits.endsWith('000') ? digits.slice(0, 6) : digits}`;
}

/** proto3 leaves the zero value out. */
function wrapped(zero: unknown): (message: Record<string, unknown>) => unknown {
  return (message) => message.value ?? zero;
}

function struct({ fields }: Record<string, unknown>): unknown {
  return mapped((fields ?? {}) as Record<string, unknown>, (one) => value(one as Record<string, unknown>));
}

function list({ values }: Record<string, unknown>): unknown {
  return ((values ?? []) as Record<string, unknown>[]).map((one) => value(one));
}

function value(held: Record<string, unknown>): unknown {
  if (held.structValue !== undefined) return struct(held.structValue as Record<string, unknown>);
  if (held.listValue !== undefined) return list(held.listValue as Record<string, unknown>);
  return held.stringValue ?? held.numberValue ?? held.boolValue ?? null;
}

/** Also under the name `__proto__`. */
function mapped(from: Record<string, unknown>, each: (one: unknown) => unknown): Record<string, unknown> {
  const entries = Object.entries(from).map(([key, one]): [string, unknown] => [key, each(one)]);
  return Object.fromEntries(entries);
}
