import { createHash } from 'node:crypto';
import type pg from 'pg';
import { prefixes } from '../../src/unit-of-work/live-token.ts';
import { api, type Credentials, type IssuedToken } from './protocol.ts';

/**
 * Live tokens by the million: one half machines', the other half people's, of whom each has twenty, every one in a family
 * of its own. A token follows from its number, so that it need not be kept to be asked about.
 */

const CHUNK = 500_000;
const TOKENS_A_PERSON = 20;

const kinds = { machine: prefixes.machine, access: prefixes.access };

const tokenOf = (kind: keyof typeof kinds, index: number) =>
  `${kinds[kind]}${createHash('md5').update(`${kind} ${index}`).digest('hex')}`;

const clientOf = (clients: readonly Credentials[], index: number) =>
  (clients[index % clients.length] as Credentials).clientId;

/** `count` of the tokens that `fill` made, from all over the table. */
export function sampleTokens(
  clients: readonly Credentials[],
  filled: number,
  count: number,
): IssuedToken[] {
  const half = Math.floor(filled / 2);
  return Array.from({ length: count }, (_, place) => {
    const kind = place % 2 === 0 ? 'machine' : 'access';
    const index = Math.floor(Math.random() * half);
    return { token: tokenOf(kind, index), clientId: clientOf(clients, index) };
  });
}

const idOf = (kind: keyof typeof kinds) =>
  `sha256(convert_to('${kinds[kind]}' || md5('${kind} ' || i), 'UTF8'))`;
const family = `left(md5('family ' || i), 22)`;
const account = `'u_filled_' || i / ${TOKENS_A_PERSON}`;
const client = '($1::text[])[1 + i % array_length($1::text[], 1)]';
const chunk = 'generate_series($2::int, $3::int) i';
/** They end one after the other, as they would have been issued. */
const end = `now() + interval '1 day' + i * interval '1 millisecond'`;
const times = `'iat', extract(epoch from now())::int, 'exp', extract(epoch from ${end})::int`;

const inserts = [
  `insert into accounts (id, email, email_key)
   select ${account}, ${account} || '@example.com', ${account} || '@example.com' from ${chunk}
   where i % ${TOKENS_A_PERSON} = 0 and $1::text[] is not null`,
  `insert into grants (id, account_id, client_id, payload, offline, key_id, expires_at)
   select ${family}, ${account}, ${client},
     '{"openid": {"scope": "openid"}, "resources": {"${api}": "read"}, "rejected": {}}', true, 'k', ${end} from ${chunk}`,
  `insert into tokens (id_hash, kind, client_id, payload, expires_at)
   select ${idOf('machine')}, 'machine', ${client}, jsonb_build_object(${times}, 'clientId', ${client},
     'kind', 'ClientCredentials', 'aud', '${api}', 'scope', 'read', 'extra', '{}'::jsonb), ${end} from ${chunk}`,
  `insert into tokens (id_hash, kind, grant_id, client_id, account_id, payload, expires_at)
   select ${idOf('access')}, 'access', ${family}, ${client}, ${account}, jsonb_build_object(${times}, 'clientId', ${client},
     'accountId', ${account}, 'grantId', ${family}, 'kind', 'AccessToken', 'gty', 'authorization_code', 'aud', '${api}',
     'scope', 'read', 'extra', jsonb_build_object('acr', 'urn:vouchsafe:acr:1fa')), ${end} from ${chunk}`,
];

/** Fills the tables with `count` live tokens; their indexes are made afterwards, at once. */
export async function fill(
  admin: pg.Client,
  clients: readonly Credentials[],
  count: number,
  { signal, progress }: { signal: AbortSignal; progress: (text: string) => void },
): Promise<void> {
  // The rows that are referred to are there.
  await admin.query(`set session_replication_role = replica; set synchronous_commit = off;
    set maintenance_work_mem = '1GB'`);
  const { rows: indexes } = await admin.query<{ name: string; definition: string }>(
    `select indexname as name, indexdef as definition from pg_indexes where tablename in ('tokens', 'grants')`,
  );
  const isKey = (name: string) => name.endsWith('_pkey');
  for (const { name } of indexes)
    await admin.query(
      isKey(name)
        ? `alter table ${name.replace('_pkey', '')} drop constraint ${name}`
        : `drop index ${name}`,
    );
  const clientIds = clients.map(({ clientId }) => clientId);
  const half = Math.floor(count / 2);
  for (let from = 0; from < half; from += CHUNK) {
    signal.throwIfAborted();
    progress(`filling: ${Math.round((from / half) * 100)} %`);
    const to = Math.min(from + CHUNK, half) - 1;
    for (const text of inserts) await admin.query(text, [clientIds, from, to]);
  }
  for (const { name, definition } of indexes) {
    signal.throwIfAborted();
    progress(`filling: ${name}`);
    await admin.query(definition);
    const table = name.replace('_pkey', '');
    if (isKey(name)) await admin.query(`alter table ${table} add primary key using index ${name}`);
  }
  await admin.query('vacuum analyze');
  await admin.query('checkpoint');
}
