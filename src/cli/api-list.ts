import { z } from 'zod';
import { writeScopeWords } from '../resource-server/resource-server.ts';
import { type Command, defineCommand, table } from './command.ts';

export const apiList: Command = defineCommand({
  words: 'api list',
  summary: 'Lists the APIs, with their token settings and the client IDs that they introspect with',
  options: {},
  input: z.object({}),
  async run(_input, session) {
    const apis = await (await session.resourceServers()).list();
    const clients = await (await session.clients()).list();
    const clientIdOf = (api: string) =>
      clients.find(({ resourceServerId }) => resourceServerId === api)?.id;
    return {
      json: {
        apis: apis.map((api) => ({
          id: api.id,
          identifier: api.identifier,
          name: api.name,
          token_format: api.tokenFormat,
          token_typ: api.tokenTyp,
          signing_alg: api.signingAlg,
          access_token_ttl: api.accessTokenTtl,
          scopes: [...api.scopes].map(([scope, { verb, description }]) => ({
            scope,
            verb: verb ?? null,
            description,
          })),
          open_scopes: [...api.openScopes],
          introspection: { client_id: clientIdOf(api.id) ?? null },
        })),
      },
      text:
        apis.length === 0
          ? 'There are no APIs yet.'
          : apis
              .map((api) =>
                table([
                  ['identifier', api.identifier],
                  ['name', api.name],
                  ['id', api.id],
                  ['client id', clientIdOf(api.id) ?? 'none'],
                  [
                    'tokens',
                    api.tokenFormat === 'jwt'
                      ? `jwt, ${api.tokenTyp}, ${api.signingAlg}`
                      : 'opaque',
                  ],
                  ['live for', `${api.accessTokenTtl} s`],
                  ...[...api.scopes].map(([scope, words], at) => [
                    at === 0 ? 'scopes' : '',
                    writeScopeWords({ scope, ...words }),
                  ]),
                  ...(api.openScopes.size === 0
                    ? []
                    : [['open scopes', [...api.openScopes].join(' ')]]),
                ]).join('\n'),
              )
              .join('\n\n'),
    };
  },
});
