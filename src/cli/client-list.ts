import { z } from 'zod';
import { type Client, offlineAccessOf, type ShownSecret } from '../client/client.ts';
import { type Command, defineCommand, type Output, table } from './command.ts';

const yesNo = (value: boolean) => (value ? 'yes' : 'no');

/** `accessTokenTtl` as its external name: `access_token_ttl`. */
const outside = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

const written = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

export const clientList: Command = defineCommand({
  words: 'client list',
  summary: 'Lists the clients; those of type resource_server are the credentials of APIs',
  options: {},
  input: z.object({}),
  async run(_input, session) {
    const clients = await (await session.clients()).list();
    return {
      json: {
        clients: clients.map(({ id, name, type, disabled, firstParty, registeredBy }) => ({
          client_id: id,
          name,
          type,
          disabled,
          first_party: firstParty,
          registered_by: registeredBy ?? 'operator',
        })),
      },
      text:
        clients.length === 0
          ? 'There are no clients yet.'
          : table(
              clients.map(({ id, name, type, disabled, firstParty, registeredBy }) => [
                id,
                type,
                [
                  firstParty ? 'first-party' : '',
                  disabled ? 'disabled' : '',
                  registeredBy === undefined ? '' : `by ${registeredBy}`,
                ]
                  .filter((word) => word !== '')
                  .join(', '),
                name,
              ]),
            ).join('\n'),
    };
  },
});

export const clientShow: Command = defineCommand({
  words: 'client show',
  summary: 'Shows everything about a client; of its secrets, only the last four characters',
  options: { 'client-id': { value: 'ID', required: true, help: 'the client ID' } },
  input: z.object({ 'client-id': z.string().min(1) }),
  async run(input, session) {
    const { client, secrets } = await (await session.clients()).show(input['client-id']);
    const { resourceServerId } = client;
    const api =
      resourceServerId === undefined
        ? undefined
        : await (await session.resourceServers()).findById(resourceServerId);
    const familyTtl = client.settings.familyTtl ?? session.config.lifetimes.refreshToken;
    const counted = { ...client, settings: { ...client.settings, familyTtl } };
    return shown(counted, secrets, api?.identifier);
  },
});

function shown(client: Client, secrets: readonly ShownSecret[], api: string | undefined): Output {
  const allowed = [...client.allowed].map(
    ([identifier, scopes]) => [identifier, [...scopes].sort()] as const,
  );
  const settings = Object.entries({
    ...client.settings,
    offlineAccess: offlineAccessOf(client),
  }).map(([name, value]) => [outside(name), value] as const);
  const part = (title: string, rows: readonly (readonly string[])[]) =>
    rows.length === 0 ? [] : ['', title, ...table(rows)];
  return {
    json: {
      client_id: client.id,
      name: client.name,
      type: client.type,
      disabled: client.disabled,
      first_party: client.firstParty,
      verified: client.verified,
      developer: client.developer ?? null,
      created_at: client.createdAt.toISOString(),
      ...(api === undefined ? {} : { introspects_for: api }),
      apis: allowed.map(([identifier, scopes]) => ({ identifier, scopes })),
      settings: Object.fromEntries(settings),
      metadata: client.metadata,
      secrets: secrets.map(({ lastFour, createdAt, expiresAt }) => ({
        last_four: lastFour,
        created_at: createdAt.toISOString(),
        expires_at: expiresAt?.toISOString() ?? null,
      })),
    },
    text: [
      ...table([
        ['client id', client.id],
        ['name', client.name],
        ['type', client.type],
        ['disabled', yesNo(client.disabled)],
        ['first-party', yesNo(client.firstParty)],
        ['verified', yesNo(client.verified)],
        ['developer', client.developer ?? ''],
        ['created', client.createdAt.toISOString()],
        ...(api === undefined ? [] : [['introspects for', api]]),
      ]),
      ...part(
        'APIs and scopes that it can request',
        allowed.map(([identifier, scopes]) => [identifier, scopes.join(' ')]),
      ),
      ...part(
        'Settings',
        settings.flatMap(([name, value]) => (value === undefined ? [] : [[name, written(value)]])),
      ),
      ...part(
        'Metadata',
        Object.entries(client.metadata).map(([name, value]) => [name, written(value)]),
      ),
      ...part(
        'Secrets, by their last four characters',
        secrets.map(({ lastFour, createdAt, expiresAt }) => [
          lastFour,
          `from ${createdAt.toISOString()}`,
          expiresAt === undefined ? '' : `until ${expiresAt.toISOString()}`,
        ]),
      ),
    ].join('\n'),
  };
}
