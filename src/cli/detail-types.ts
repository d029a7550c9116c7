import { z } from 'zod';
import { withoutUndefined } from '../lib/without-undefined.ts';
import { DetailTypes } from '../resource-server/detail-types.service.ts';
import {
  detailTypeChangesSchema,
  newDetailTypeSchema,
} from '../resource-server/resource-server.ts';
import { type Command, defineCommand, somethingToChange, table } from './command.ts';
import { actor, type Session } from './session.ts';
import { jsonFile, yesOrNo } from './values.ts';

const added = newDetailTypeSchema.shape;
const changed = detailTypeChangesSchema.shape;

const type = { value: 'TYPE', required: true, help: 'the name that clients send' } as const;
const files = {
  schema: { value: 'FILE', help: 'the JSON Schema (2020-12) of a detail' },
  words: { value: 'FILE', help: 'the words that users read, as JSON' },
} as const;

const typesOf = async (session: Session) => new DetailTypes(await session.db());

/** The types of authorization details of an API (RFC 9396). */
export const detailTypeCommands: Command[] = [
  defineCommand({
    words: 'api add-detail-type',
    summary: 'Registers a type of authorization details (RFC 9396): a payment, an account, a file',
    options: {
      api: { value: 'URI', required: true, help: 'the identifier of the API' },
      type,
      schema: { ...files.schema, required: true },
      words: { ...files.words, required: true },
      remember: {
        help: 'do not ask users again for exactly the same detail; never use it for payments',
      },
      machines: { help: 'machines can request it on their own behalf, without a user' },
    },
    input: z.object({
      api: z.string().min(1),
      type: added.type,
      schema: jsonFile.pipe(added.schema),
      words: jsonFile.pipe(added.words),
      remember: added.remember,
      machines: added.machines,
    }),
    async run({ api, ...input }, session) {
      await (await typesOf(session)).add(api, input, actor);
      return {
        json: { type: input.type },
        text: `The type ${input.type} was added. Allow clients to request it: client update --detail-types.`,
      };
    },
  }),
  defineCommand({
    words: 'api update-detail-type',
    summary: 'Changes a type of authorization details, for future requests',
    options: {
      type,
      ...files,
      remember: {
        value: 'true|false',
        help: 'whether users are asked only once for the same detail',
      },
      machines: {
        value: 'true|false',
        help: 'whether machines can request it on their own behalf',
      },
    },
    input: z.object({
      type: z.string().min(1),
      schema: jsonFile.pipe(changed.schema),
      words: jsonFile.pipe(changed.words),
      remember: yesOrNo,
      machines: yesOrNo,
    }),
    async run({ type: name, ...given }, session) {
      somethingToChange(given);
      await (await typesOf(session)).update(name, withoutUndefined(given), actor);
      return { json: { type: name }, text: `The type ${name} was changed.` };
    },
  }),
  defineCommand({
    words: 'api list-detail-types',
    summary: 'Lists the types of authorization details, of all APIs or of one',
    options: { api: { value: 'URI', help: 'the identifier of the API' } },
    input: z.object({ api: z.string().optional() }),
    async run({ api }, session) {
      const types = (await (await typesOf(session)).list()).filter(
        (one) => api === undefined || one.api === api,
      );
      const yesNo = (value: boolean) => (value ? 'yes' : 'no');
      return {
        json: { types },
        text:
          types.length === 0
            ? 'There are no types yet.'
            : types
                .map((one) =>
                  table([
                    ['type', one.type],
                    ['API', one.api],
                    ['asked once', yesNo(one.remember)],
                    ['for machines', yesNo(one.machines)],
                    ...Object.entries(one.words).map(([language, { verb, text }]) => [
                      `words (${language})`,
                      `${verb} ${text}`,
                    ]),
                  ]).join('\n'),
                )
                .join('\n\n'),
      };
    },
  }),
  defineCommand({
    words: 'api remove-detail-type',
    summary: 'Removes a type of authorization details: tokens that carry it end at once',
    options: { type },
    input: z.object({ type: z.string().min(1) }),
    async run(input, session) {
      await (await typesOf(session)).remove(input.type, actor);
      return { json: { type: input.type }, text: `The type ${input.type} was removed.` };
    },
  }),
];
