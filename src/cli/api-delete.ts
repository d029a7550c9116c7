import { z } from 'zod';
import type { RestsOnApi } from '../resource-server/resource-server.service.ts';
import { type Command, defineCommand, table } from './command.ts';
import { invocation } from './invocation.ts';
import { actor } from './session.ts';

export const apiDelete: Command = defineCommand({
  words: 'api delete',
  summary:
    'Deletes an API and every token for it; without --name, only shows what would stop working',
  options: {
    identifier: { value: 'URI', required: true, help: 'the API' },
    name: { value: 'N', help: 'the name of the API, as a safeguard' },
  },
  input: z.object({ identifier: z.string().min(1), name: z.string().min(1).optional() }),
  async run({ identifier, name }, session) {
    const servers = await session.resourceServers();
    const rests =
      name === undefined
        ? await servers.describeDeletion(identifier)
        : await servers.delete(identifier, name, actor);
    return {
      json: { identifier, deleted: name !== undefined, stops_working: outside(rests) },
      text: [
        name === undefined ? 'This stops working:' : 'This stopped working:',
        ...table(rows(identifier, rests)),
        '',
        name === undefined
          ? `Nothing was deleted. To delete the API: ${invocation} api delete --identifier ${identifier} --name ${JSON.stringify(rests.name)}`
          : `The API ${identifier} is deleted.`,
      ].join('\n'),
    };
  },
});

function outside(rests: RestsOnApi): Record<string, unknown> {
  return {
    scopes: rests.scopes,
    open_scopes: rests.openScopes,
    clients: rests.clients.map(({ id, name }) => ({ client_id: id, name })),
    default_api_of: rests.defaultOf,
    introspection_clients: rests.introspects,
    detail_types: rests.detailTypes,
    exchange_rules: rests.exchangeRules,
    trusted_subjects: rests.trustedSubjects,
    gateway_rules: rests.gatewayRules,
  };
}

/** What there is of each, in words. */
function rows(identifier: string, rests: RestsOnApi): [string, string][] {
  const all: [string, string | number][] = [
    ['tokens', `every token for ${identifier}`],
    ['scopes', rests.scopes.join(' ')],
    ['open scopes', rests.openScopes.join(' ')],
    ['introspects as', rests.introspects.join(' ')],
    ...rests.clients.map(({ id, name }): [string, string] => ['client', `${id} ${name}`]),
    ['default API of', rests.defaultOf.join(' ')],
    ['detail types', rests.detailTypes.join(' ')],
    ['exchange rules', rests.exchangeRules],
    ['trusted subjects', rests.trustedSubjects],
    ['gateway rules', rests.gatewayRules],
  ];
  return all.flatMap(([word, value]) =>
    value === '' || value === 0 ? [] : [[word, String(value)] as [string, string]],
  );
}
