import { z } from 'zod';
import {
  clientChangesSchema,
  clientTypes,
  identityScopes,
  newClientSchema,
} from '../client/client.ts';
import type { ClientCredentials } from '../client/client.service.ts';
import { withoutUndefined } from '../lib/without-undefined.ts';
import { clientList, clientShow } from './client-list.ts';
import { givenOf, settingsInput, settingsOptions } from './client-settings.ts';
import { type Command, defineCommand, type Output, somethingToChange, table } from './command.ts';
import { clientRevocation } from './revocation.ts';
import { actor } from './session.ts';
import { uriOrNone, yesOrNo } from './values.ts';

const { name, type, redirectUris, postLogoutRedirectUris, scopes, apis, developer } =
  newClientSchema.shape;
const changed = clientChangesSchema.shape;

const words = (text: string) => text.trim().split(/\s+/);

/** The identifier, and behind it the scopes. */
function readApi(text: string): { identifier: string; scopes: string[] } {
  const [identifier = '', ...scopes] = words(text);
  return { identifier, scopes };
}

const readScopes = (text: unknown) => (text === undefined ? undefined : words(text as string));
const readApis = (texts: unknown) => (texts as string[] | undefined)?.map(readApi);

const createInput = z
  .object({
    name,
    type,
    'redirect-uri': redirectUris,
    'post-logout-redirect-uri': postLogoutRedirectUris,
    scope: z.preprocess(readScopes, scopes),
    api: z.preprocess(readApis, apis),
    'first-party': z.boolean().default(false),
    verified: z.boolean().default(false),
    developer,
    ...settingsInput,
  })
  .transform((input) => ({
    name: input.name,
    type: input.type,
    redirectUris: input['redirect-uri'],
    postLogoutRedirectUris: input['post-logout-redirect-uri'],
    scopes: input.scope,
    apis: input.api,
    firstParty: input['first-party'],
    verified: input.verified,
    developer: input.developer,
    settings: givenOf(input).settings,
    ...givenOf(input).aspects,
  }));

/** All of them, or the one word that takes them away. */
const noneOr = z
  .array(z.string())
  .optional()
  .transform((values) => (values?.length === 1 && values[0] === 'none' ? [] : values));

const changesInput = z
  .object({
    'client-id': z.string().min(1),
    name: changed.name,
    'redirect-uri': changed.redirectUris,
    'post-logout-redirect-uri': noneOr.pipe(changed.postLogoutRedirectUris),
    scope: z.preprocess(readScopes, changed.scopes),
    api: noneOr.transform(readApis).pipe(changed.apis),
    verified: yesOrNo,
    developer: uriOrNone.pipe(changed.developer),
    'first-party': yesOrNo,
    force: z.boolean().default(false),
    ...settingsInput,
  })
  .transform((input) => ({
    clientId: input['client-id'],
    forced: input.force,
    changes: withoutUndefined({
      name: input.name,
      redirectUris: input['redirect-uri'],
      postLogoutRedirectUris: input['post-logout-redirect-uri'],
      scopes: input.scope,
      apis: input.api,
      verified: input.verified,
      developer: input.developer,
      firstParty: input['first-party'],
      ...givenOf(input).settings,
      ...givenOf(input).aspects,
    }),
  }));

function credentials(said: string, { clientId, clientSecret }: ClientCredentials): Output {
  const rows: [string, string][] = [['client id', clientId]];
  if (clientSecret !== undefined) rows.push(['client secret', clientSecret]);
  const once =
    clientSecret === undefined
      ? 'It has no secret.'
      : 'The secret is shown this once: only its hash is kept.';
  return {
    json: {
      client_id: clientId,
      ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
    },
    text: [said, '', ...table(rows), '', once].join('\n'),
  };
}

const clientId = { value: 'ID', required: true, help: 'the client id' } as const;
const byId = z.object({ 'client-id': z.string().min(1) });

export const clientCommands: Command[] = [
  clientList,
  clientShow,
  defineCommand({
    words: 'client create',
    summary: 'Registers a client',
    options: {
      name: { value: 'N', required: true, help: 'the name that people see' },
      type: {
        value: clientTypes.join('|'),
        required: true,
        help: 'what it is; web and machine get a secret',
      },
      'redirect-uri': {
        value: 'U',
        multiple: true,
        help: 'where a browser may be sent back to, exactly',
      },
      'post-logout-redirect-uri': {
        value: 'U',
        multiple: true,
        help: 'the same after signing out',
      },
      scope: {
        value: `"${identityScopes.join(' ')}"`,
        help: 'what it may ask of a person; all of it but groups unless told',
      },
      api: {
        value: '"URI scope scope"',
        multiple: true,
        help: 'an API by its identifier, and the scopes it may ask for there',
      },
      'first-party': {
        help: 'it is ours: people are not asked for consent (confidential clients alone)',
      },
      verified: { help: 'its name was looked into: the consent page does not warn' },
      developer: { value: 'D', help: 'who is behind it' },
      ...settingsOptions,
    },
    input: createInput,
    async run(input, session) {
      return credentials(
        `The client ${input.name} was created.`,
        await (await session.clients()).create(input, actor),
      );
    },
  }),
  defineCommand({
    words: 'client add-secret',
    summary: 'Gives a client another secret; the one before it works on, older ones end',
    options: { 'client-id': clientId },
    input: byId,
    async run(input, session) {
      return credentials(
        'The client has a new secret.',
        await (await session.clients()).addSecret(input['client-id'], actor),
      );
    },
  }),
  defineCommand({
    words: 'client update',
    summary: 'Changes a client: each option replaces what was there',
    options: {
      'client-id': clientId,
      name: { value: 'N', help: 'the name that people see' },
      'redirect-uri': {
        value: 'U',
        multiple: true,
        help: 'where a browser may be sent back to: these, and no others any more',
      },
      'post-logout-redirect-uri': {
        value: 'U|none',
        multiple: true,
        help: 'the same after signing out',
      },
      scope: {
        value: `"${identityScopes.join(' ')}"`,
        help: 'what it may ask of a user: these, and no others any more',
      },
      api: {
        value: '"URI scope scope"|none',
        multiple: true,
        help: 'APIs and the scopes it may ask for there: these, and no others any more',
      },
      verified: {
        value: 'true|false',
        help: 'its name was checked: the consent page does not warn',
      },
      developer: { value: 'D|none', help: 'who makes it' },
      'first-party': {
        value: 'true|false',
        help: 'it is ours: users are not asked for consent (only confidential clients)',
      },
      force: { help: 'also where its people get other subjects: all its tokens end' },
      ...settingsOptions,
    },
    input: changesInput,
    async run(input, session) {
      somethingToChange(input.changes);
      await (await session.clients()).update(input.clientId, input.changes, actor, {
        forced: input.forced,
      });
      return {
        json: { client_id: input.clientId },
        text: `The client ${input.clientId} was changed. Tokens that carry something it has lost end now; others stay as they are until they expire.`,
      };
    },
  }),
  defineCommand({
    words: 'client delete',
    summary:
      'Deletes a client for good: its tokens end at once, and what people allowed it is gone',
    options: {
      'client-id': clientId,
      name: { value: 'N', required: true, help: 'its name, so that it is no other one' },
    },
    input: z.object({ 'client-id': z.string().min(1), name: z.string().min(1) }),
    async run(input, session) {
      const id = input['client-id'];
      await (await session.clients()).delete(id, input.name, actor);
      return { json: { client_id: id, deleted: true }, text: `The client ${id} is deleted.` };
    },
  }),
  clientRevocation,
  ...[true, false].map((disabled) =>
    defineCommand({
      words: disabled ? 'client disable' : 'client enable',
      summary: disabled
        ? 'Disables a client: its tokens end at once'
        : 'Enables a client that was disabled; its tokens stay ended',
      options: { 'client-id': clientId },
      input: byId,
      async run(input, session) {
        const id = input['client-id'];
        await (await session.clients()).setDisabled(id, disabled, actor);
        return {
          json: { client_id: id, disabled },
          text: `The client ${id} is ${disabled ? 'disabled' : 'enabled'}.`,
        };
      },
    }),
  ),
];
