import * as v from 'valibot';

/** `template.json`, described in templates/README.md. */

const When = v.optional(v.record(v.string(), v.string()));

const Layer = v.strictObject({ from: v.string(), when: When });

const Resource = v.strictObject({
  /** Name of the function that `localmesh` exports: postgres, postgresBus. */
  call: v.pipe(v.string(), v.regex(/^[a-zA-Z]\w*$/)),
  /** Plain data. */
  arguments: v.optional(v.array(v.unknown()), []),
  when: When,
});

/** The fields are those of a service in mesh.config.ts. */
const Service = v.looseObject({ when: When });

const Argv = v.array(v.string());
const Step = v.union([Argv, v.strictObject({ run: Argv, when: When })]);
const Line = v.union([v.string(), v.strictObject({ text: v.string(), when: When })]);

const Parts = {
  layers: v.array(Layer),
  resources: v.optional(v.record(v.string(), Resource), {}),
  services: v.optional(v.record(v.string(), Service), {}),
  install: v.optional(v.array(Step), []),
  next: v.optional(v.array(Line), []),
};

const Option = v.strictObject({
  choices: v.array(v.string()),
  default: v.string(),
});

export const ManifestSchema = v.strictObject({
  summary: v.string(),
  entity: v.optional(v.boolean(), false),
  options: v.optional(v.record(v.string(), Option), {}),
  ...Parts,
  add: v.optional(v.strictObject(Parts)),
});

export type Manifest = v.InferOutput<typeof ManifestSchema>;
/** What a template contributes in one of its two modes: a project of its own, or into an existing one. */
export type TemplateParts = NonNullable<Manifest['add']>;

export interface Template {
  readonly name: string;
  /** Absolute. */
  readonly directory: string;
  readonly manifest: Manifest;
}

/** Whether a part with this condition belongs to what was asked for. */
export function applies(when: Record<string, string> | undefined, options: Readonly<Record<string, string>>): boolean {
  return Object.entries(when ?? {}).every(([option, value]) => options[option] === value);
}
