import { z } from 'zod';
import { createIntrospectionClient } from '../client/client.service.ts';
import { newResourceServerSchema } from '../resource-server/resource-server.ts';
import { type Command, defineCommand, table } from './command.ts';
import { actor } from './session.ts';

const { identifier, name, scopes, tokenFormat, accessTokenTtl } = newResourceServerSchema.shape;

const createInput = z
  .object({
    identifier,
    name,
    scope: z.preprocess((texts) => (texts as string[]).map(readScope), scopes),
    'token-format': tokenFormat,
    'access-token-ttl': z
      .string()
      .regex(/^\d{1,9}$/, 'expected a number of seconds')
      .transform(Number)
      .optional()
      .pipe(accessTokenTtl),
  })
  .transform((input) => ({
    identifier: input.identifier,
    name: input.name,
    scopes: input.scope,
    tokenFormat: input['token-format'],
    accessTokenTtl: input['access-token-ttl'],
  }));

/** `scope`, or `scope=the words that people read`. */
function readScope(text: string): { scope: string; description: string } {
  const [, scope = text, description = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  return { scope, description };
}

export const apiCommands: Command[] = [
  defineCommand({
    words: 'api create',
    summary: 'Registers an API, and the credentials with which it introspects tokens',
    options: {
      identifier: {
        value: 'URI',
        required: true,
        help: 'the audience of its tokens; clients send it as `resource`',
      },
      name: { value: 'N', required: true, help: 'the name that people see' },
      scope: {
        value: 'S',
        required: true,
        multiple: true,
        help: 'a scope, as in read or "read=See your invoices", with the words that people read',
      },
      'token-format': { value: 'opaque|jwt', help: 'opaque unless told' },
      'access-token-ttl': {
        value: 'SECONDS',
        help: 'how long its access tokens live, 60 to 86400; 3600 unless told',
      },
    },
    input: createInput,
    async run(input, session) {
      const servers = await session.resourceServers();
      const { id, credentials } = await servers.create(input, actor, (db, apiId) =>
        createIntrospectionClient(db, apiId, input.name),
      );
      return {
        json: {
          id,
          introspection: {
            client_id: credentials.clientId,
            client_secret: credentials.clientSecret,
          },
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
          'The API introspects tokens as this client. The secret is shown this once: only its hash is kept.',
        ].join('\n'),
      };
    },
  }),
];
