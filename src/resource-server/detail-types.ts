import { z } from 'zod';
import { checkDetailSchema } from './detail-schema.ts';
import type { DetailType } from './detail.ts';
import { findUnknownPlaceholders } from './detail-words.ts';

/** Names are printed, listed with commas, and compared byte by byte. */
const type = z
  .string()
  .regex(
    /^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]{1,200}$/,
    'expected a name without spaces, quotes, commas or backslashes, as in payment_initiation',
  );

/** Nothing in it forges lines or turns their order around. */
const plainText = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]*$/u, 'expected one line of plain text');

const template = (max: number) =>
  plainText(max).refine((text) => !/[{}]/.test(text.replace(/\{[^{}]+\}/g, '')), {
    message: 'expected placeholders in single braces, as in {amount.value}',
  });

const wordsSchema = z
  .record(
    z.string().regex(/^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'expected a language, as in en or pt-BR'),
    z.strictObject({
      verb: plainText(12).regex(/^[\p{L}\p{M}’' -]+$/u, 'expected a word'),
      text: template(200),
      facts: z
        .array(z.strictObject({ label: plainText(40), value: template(120) }))
        .max(12)
        .default([]),
    }),
  )
  .refine((words) => words.en !== undefined, {
    message: 'expected the words in English (en) at least',
  });

const schema = z
  .record(z.string(), z.unknown(), { error: 'expected a JSON schema: an object' })
  .superRefine((value, context) => {
    const problem = checkDetailSchema(value);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  });

export const newDetailTypeSchema = z.strictObject({
  type,
  schema,
  words: wordsSchema,
  remember: z.boolean().default(false),
  machines: z.boolean().default(false),
});
export type NewDetailType = z.output<typeof newDetailTypeSchema>;

/** What may change of a type: only what is given. */
export const detailTypeChangesSchema = z.strictObject({
  schema: schema.optional(),
  words: wordsSchema.optional(),
  remember: z.boolean().optional(),
  machines: z.boolean().optional(),
});
export type DetailTypeChanges = z.output<typeof detailTypeChangesSchema>;

/** What the words name that no detail can have by its schema; undefined where all is well. */
export function findWordsProblem({
  schema: given,
  words,
}: Pick<DetailType, 'schema' | 'words'>): string | undefined {
  const templates = Object.values(words).flatMap(({ text, facts }) => [
    text,
    ...facts.map(({ value }) => value),
  ]);
  const unknown = findUnknownPlaceholders(given, templates);
  return unknown.length === 0
    ? undefined
    : `The words name ${unknown.map((one) => `{${one}}`).join(', ')}, of which the schema knows no plain value.`;
}
