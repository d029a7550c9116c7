import { z } from 'zod';
import { createIntrospectionClient } from '../client/client.service.ts';
import {
  newResourceServerSchema,
  previewScopeWords,
  resourceServerChangesSchema,
  scopeWordsSchema,
  signingAlgs,
} from '../resource-server/resource-server.ts';
import { apiDelete } from './api-delete.ts';
import { apiList } from './api-list.ts';
import { type Command, defineCommand, somethingToChange, table } from './command.ts';
import { detailTypeCommands } from './detail-types.ts';
import { actor } from './session.ts';
import { seconds } from './values.ts';

const { identifier, name, scopes, openScopes, tokenFormat, tokenTyp, signingAlg } =
  newResourceServerSchema.shape;
const changed = resourceServerChangesSchema.shape;

/** Scopes separated by spaces; `none` empties the list. */
const openWords = z
  .string()
  .optional()
  .transform((text) =>
    text === undefined
      ? undefined
      : text.split(/\s+/).filter((scope) => scope !== '' && scope !== 'none'),
  );

const createInput = z
  .object({
    identifier,
    name,
    scope: z.array(scopeWordsSchema).pipe(scopes),
    'open-scopes': openWords.pipe(openScopes),
    'token-format': tokenFormat,
    'token-typ': tokenTyp,
    'signing-alg': signingAlg,
    'access-token-ttl': seconds.pipe(changed.accessTokenTtl),
  })
  .transform((input) => ({
    identifier: input.identifier,
    name: input.name,
    scopes: input.scope,
    openScopes: input['open-scopes'],
    tokenFormat: input['token-format'],
    tokenTyp: input['token-typ'],
    signingAlg: input['signing-alg'],
    accessTokenTtl: input['access-token-ttl'],
  }));

const changesInput = z
  .object({
    identifier,
    name: changed.name,
    scope: z.array(scopeWordsSchema).optional().pipe(changed.scopes),
    'remove-scope': changed.removedScopes,
    'open-scopes': openWords.pipe(changed.openScopes),
    'token-format': changed.tokenFormat,
    'token-typ': changed.tokenTyp,
    'signing-alg': changed.signingAlg,
    'access-token-ttl': seconds.pipe(changed.accessTokenTtl),
  })
  .transform((input) => ({
    identifier: input.identifier,
    changes: {
      name: input.name,
      scopes: input.scope,
      removedScopes: input['remove-scope'],
      openScopes: input['open-scopes'],
      tokenFormat: input['token-format'],
      tokenTyp: input['token-typ'],
      signingAlg: input['signing-alg'],
      accessTokenTtl: input['access-token-ttl'],
    },
  }));

/** The settings of its tokens. */
const tokenOptions = {
  'open-scopes': {
    value: '"S S"',
    help: 'scopes that self-registered clients can request; none for none (default)',
  },
  'token-format': {
    value: 'opaque|jwt',
    help: 'the format of its access tokens (default: opaque)',
  },
  'token-typ': {
    value: 'at+jwt|JWT',
    help: 'the typ of JWT access tokens; JWT is for decoders that do not support RFC 9068',
  },
  'signing-alg': {
    value: signingAlgs.join('|'),
    help: 'the algorithm that signs JWT access tokens (default: ES256)',
  },
  'access-token-ttl': {
    value: 'SECONDS',
    help: 'how long its access tokens live, 60 to 86400; default for a new API: ACCESS_TOKEN_TTL',
  },
} as const;

type Preview = ReturnType<typeof previewScopeWords>;

const asJson = (preview: Preview) =>
  preview.map(({ scope, verb, words }) => ({ scope, reads: `${verb} ${words}` }));

/** How the consent page will read, for the API team to check its words. */
const asRows = (preview: Preview, api: string) => [
  `On the consent page, an app that asks for these scopes "will be able to", in ${api}:`,
  '',
  ...table(preview.map(({ verb, words, missing }) => [verb, words, missing])),
];

export const apiCommands: Command[] = [
  apiList,
  defineCommand({
    words: 'api create',
    summary: 'Registers an API, and creates its credentials for introspection',
    options: {
      identifier: {
        value: 'URI',
        required: true,
        help: 'the audience of its tokens; clients send it as `resource`',
      },
      name: { value: 'N', required: true, help: 'the name that users see' },
      scope: {
        value: 'S',
        required: true,
        multiple: true,
        help: 'a scope, with the verb and the words that users read: "invoices:read=see: your invoices"',
      },
      ...tokenOptions,
    },
    input: createInput,
    async run(input, session) {
      const servers = await session.resourceServers();
      const { accessTokenTtl = session.config.lifetimes.accessToken } = input;
      const { id, credentials } = await servers.create(
        { ...input, accessTokenTtl },
        actor,
        (db, apiId) => createIntrospectionClient(db, apiId, input.name),
      );
      const preview = previewScopeWords(input.scopes);
      return {
        json: {
          id,
          introspection: {
            client_id: credentials.clientId,
            client_secret: credentials.clientSecret,
          },
          consent: asJson(preview),
        },
        text: [
          `The API ${input.name} was created.`,
          '',
          ...table([
            ['id', id],
            ['identifier', input.identifier],
            ['client id', credentials.clientId],
            ['client secret', credentials.clientSecret],
          ]),
          '',
          'The API introspects tokens with these credentials. The secret is shown only once; only its hash is stored.',
          '',
          ...asRows(preview, input.name),
        ].join('\n'),
      };
    },
  }),
  defineCommand({
    words: 'api update',
    summary: 'Changes an API, its scopes and its token settings',
    options: {
      identifier: { value: 'URI', required: true, help: 'the API' },
      name: { value: 'N', help: 'the name that users see' },
      scope: {
        value: 'S',
        multiple: true,
        help: 'a scope to add, or to give new words, written as for api create',
      },
      'remove-scope': {
        value: 'S',
        multiple: true,
        help: 'a scope to remove: tokens that carry it end at once',
      },
      ...tokenOptions,
    },
    input: changesInput,
    async run(input, session) {
      somethingToChange(input.changes);
      await (await session.resourceServers()).update(input.identifier, input.changes, actor);
      const preview = previewScopeWords(input.changes.scopes ?? []);
      return {
        json: {
          identifier: input.identifier,
          ...(preview.length === 0 ? {} : { consent: asJson(preview) }),
        },
        text: [
          `The API ${input.identifier} was changed. Tokens with a removed scope end now; others stay as they are until they expire.`,
          ...(preview.length === 0 ? [] : ['', ...asRows(preview, input.identifier)]),
        ].join('\n'),
      };
    },
  }),
  apiDelete,
  ...detailTypeCommands,
];
