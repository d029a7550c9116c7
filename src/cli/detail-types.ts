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

const type = { value: 'TYPE', required: true, help: 'its name, as clients send it' } as const;
const files = {
  schema: { value: 'FILE', help: 'what a detail looks like, as JSON Schema (2020-12)' },
  words: { value: 'FILE', help: 'what people read of it, as JSON' },
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
        help: 'what a person has allowed is not asked again for exactly the same; never for a payment',
      },
      machines: { help: 'machines may ask for it on their own behalf, without a person' },
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
        text: `The type ${input.type} was added. Clients ask for it once they may: client update --detail-types.`,
      };
    },
  }),
  defineCommand({
    words: 'api update-detail-type',
    summary: 'Changes a type of authorization details, for what is asked for from now on',
    options: {
      type,
      ...files,
      remember: { value: 'true|false', help: 'whether the same is asked only once' },
      machines: { value: 'true|false', help: 'whether machines may ask for it by themselves' },
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
    summary: 'Shows the types of authorization details, of all APIs or of one',
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
    summary: 'Removes a type of authorization details: tokens made from now on hold none of it',
    options: { type },
    input: z.object({ type: z.string().min(1) }),
    async run(input, session) {
      await (await typesOf(session)).remove(input.type, actor);
      return { json: { type: input.type }, text: `The type ${input.type} was removed.` };
    },
  }),
];
