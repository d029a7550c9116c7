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

/** The identifier, then the scopes. */
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

/** The values, or `none` for an empty list. */
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
      : 'The secret is shown only once; only its hash is stored.';
  return {
    json: {
      client_id: clientId,
      ...(clientSecret === undefined ? {} : { client_secret: clientSecret }),
    },
    text: [said, '', ...table(rows), '', once].join('\n'),
  };
}

const clientId = { value: 'ID', required: true, help: 'the client ID' } as const;
const byId = z.object({ 'client-id': z.string().min(1) });

export const clientCommands: Command[] = [
  clientList,
  clientShow,
  defineCommand({
    words: 'client create',
    summary: 'Registers a client',
    options: {
      name: { value: 'N', required: true, help: 'the name that users see' },
      type: {
        value: clientTypes.join('|'),
        required: true,
        help: 'the kind of app; web and machine get a secret',
      },
      'redirect-uri': {
        value: 'U',
        multiple: true,
        help: 'a redirect URI, which requests must match exactly',
      },
      'post-logout-redirect-uri': {
        value: 'U',
        multiple: true,
        help: 'a redirect URI after signing out',
      },
      scope: {
        value: `"${identityScopes.join(' ')}"`,
        help: 'identity scopes it can request (default: all except groups)',
      },
      api: {
        value: '"URI scope scope"',
        multiple: true,
        help: 'an API by its identifier, and the scopes it can request there',
      },
      'first-party': {
        help: 'your own app: users are not asked for consent (only confidential clients)',
      },
      verified: { help: 'you have checked who is behind the name: the consent page does not warn' },
      developer: { value: 'D', help: 'who makes it' },
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
    summary: 'Gives a client a new secret; the previous one still works, older ones end',
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
      name: { value: 'N', help: 'the name that users see' },
      'redirect-uri': {
        value: 'U',
        multiple: true,
        help: 'its redirect URIs; replaces all earlier ones',
      },
      'post-logout-redirect-uri': {
        value: 'U|none',
        multiple: true,
        help: 'its redirect URIs after signing out; replaces all earlier ones',
      },
      scope: {
        value: `"${identityScopes.join(' ')}"`,
        help: 'identity scopes it can request; replaces all earlier ones',
      },
      api: {
        value: '"URI scope scope"|none',
        multiple: true,
        help: 'APIs and the scopes it can request there; replaces all earlier ones',
      },
      verified: {
        value: 'true|false',
        help: 'you have checked who is behind the name: the consent page does not warn',
      },
      developer: { value: 'D|none', help: 'who makes it' },
      'first-party': {
        value: 'true|false',
        help: 'your own app: users are not asked for consent (only confidential clients)',
      },
      force: { help: 'change it even if its users get new subjects: all its tokens end' },
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
    summary: 'Deletes a client permanently: its tokens end at once, and its consents are deleted',
    options: {
      'client-id': clientId,
      name: { value: 'N', required: true, help: 'the name of the client, as a safeguard' },
    },
    input: z.object({ 'client-id': z.string().min(1), name: z.string().min(1) }),
    async run(input, session) {
      const id = input['client-id'];
      await (await session.clients()).delete(id, input.name, actor);
      return { json: { client_id: id, deleted: true }, text: `The client ${id} was deleted.` };
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
