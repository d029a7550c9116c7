import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import ajvFormats, { type FormatName } from 'ajv-formats';
import { RE2JS } from 're2js';
import { findJsonProblem } from '../lib/json-bounds.ts';
import type { AuthorizationDetail, DetailType } from './detail.ts';

/**
 * Details are checked by JSON Schema (2020-12). The schemas are those of API teams, what is checked is anybody's: patterns
 * go through RE2, which takes time in proportion to the text and no more, and nothing is fetched.
 */

const formats: FormatName[] = [
  'date',
  'time',
  'date-time',
  'duration',
  'email',
  'hostname',
  'ipv4',
  'ipv6',
  'uri',
  'uuid',
];

/** What ajv asks of a pattern, which is found anywhere in the text. */
function linear(pattern: string) {
  const compiled = RE2JS.compile(pattern);
  // ajv knows a pattern by its text: two with the same would be one.
  return {
    test: (text: string) => compiled.matcher(text).find(),
    toString: () => pattern,
  };
}
linear.code = 'linear';

function compile(schema: Readonly<Record<string, unknown>>): ValidateFunction {
  const ajv = new Ajv2020({
    strict: true,
    allowUnionTypes: true,
    // One is enough to refuse, and the rest would be work for who sends nonsense.
    allErrors: false,
    addUsedSchema: false,
    code: { regExp: linear },
    logger: false,
  });
  ajvFormats.default(ajv, { formats, keywords: false });
  return ajv.compile(schema);
}

const MAX_SCHEMA = 32 * 1024;

/** Why a schema can't be that of a type, in words; undefined where it can. */
export function checkDetailSchema(schema: Readonly<Record<string, unknown>>): string | undefined {
  const problem = findJsonProblem(schema, {
    depth: 24,
    values: 2_000,
    text: 4_000,
    total: MAX_SCHEMA,
  });
  if (problem !== undefined) return `the schema ${problem}`;
  const foreign = findForeignReference(schema);
  if (foreign !== undefined)
    return `the schema refers to ${foreign}: it may refer to itself alone, as in #/$defs/amount`;
  if (schema.type !== 'object') return 'the schema must be that of an object ("type": "object")';
  // RFC 9396, section 5: what has a field that its type does not know is refused.
  if (schema.additionalProperties !== false && schema.unevaluatedProperties !== false)
    return 'the schema must refuse fields that it does not know ("additionalProperties": false)';
  if (!Object.hasOwn((schema.properties ?? {}) as object, 'type'))
    return 'the schema must know the field type ("properties": {"type": {"type": "string"}, …})';
  try {
    compile(schema);
    return undefined;
  } catch (error) {
    return `the schema does not compile: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** What it would have to look up elsewhere, or under a name of its own choosing. */
function findForeignReference(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, one] of Object.entries(value)) {
    if ((key === '$ref' || key === '$dynamicRef') && typeof one === 'string') {
      if (!one.startsWith('#')) return one;
    } else if (key === '$id' && typeof one === 'string') return one;
    const inner = findForeignReference(one);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** By the type's name: an API that changes in some other way has its schemas read anew, and they need not be compiled for it. */
const byName = new Map<string, { readonly text: string; readonly validate: ValidateFunction }>();
const byType = new WeakMap<DetailType, ValidateFunction>();

function validatorOf(type: DetailType): ValidateFunction {
  const known = byType.get(type);
  if (known !== undefined) return known;
  const text = JSON.stringify(type.schema);
  const named = byName.get(type.type);
  const validate = named?.text === text ? named.validate : compile(type.schema);
  byName.set(type.type, { text, validate });
  byType.set(type, validate);
  return validate;
}

/** What is wrong with a detail by its type's schema, as a developer reads it; undefined where nothing is. */
export function findSchemaProblem(
  type: DetailType,
  detail: AuthorizationDetail,
): string | undefined {
  const validate = validatorOf(type);
  if (validate(detail)) return undefined;
  const [error] = validate.errors ?? [];
  const place = error?.instancePath.replace(/^\//, '').replaceAll('/', '.') ?? '';
  return `${place === '' ? 'it' : place} ${error?.message ?? 'is not as the type says'}`;
}
