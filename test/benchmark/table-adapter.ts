import type { Adapter, AdapterFactory, AdapterPayload } from 'oidc-provider';
import type pg from 'pg';

/** The table that `createTableAdapter` keeps everything in. */
export const tableOfModels = `
  create table models (
    id text not null,
    model text not null,
    payload jsonb not null,
    grant_id text,
    user_code text,
    uid text,
    expires_at timestamptz,
    consumed_at timestamptz,
    primary key (id, model)
  );
  create index models_grant on models (grant_id) where grant_id is not null;
  create index models_user_code on models (user_code) where user_code is not null;
  create index models_uid on models (uid) where uid is not null;`;

interface Row {
  payload: AdapterPayload;
  consumed_at: Date | null;
}

const columns = 'payload, consumed_at';
const live = '(expires_at is null or expires_at > now())';

/** What most installations of oidc-provider have: each call of the adapter is one prepared statement on one table. */
export function createTableAdapter(pool: pg.Pool): AdapterFactory {
  const run = (name: string, text: string, values: unknown[]) =>
    pool.query<Row>({ name, text, values });
  const first = ({ rows: [row] }: pg.QueryResult<Row>): AdapterPayload | undefined =>
    row && { ...row.payload, ...(row.consumed_at === null ? {} : { consumed: true }) };

  return (model: string): Adapter => ({
    async upsert(id, payload, expiresIn) {
      await run(
        'upsert',
        `insert into models (id, model, payload, grant_id, user_code, uid, expires_at) values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (id, model) do update set payload = excluded.payload, expires_at = excluded.expires_at`,
        [
          id,
          model,
          JSON.stringify(payload),
          payload.grantId ?? null,
          payload.userCode ?? null,
          payload.uid ?? null,
          expiresIn ? new Date(Date.now() + expiresIn * 1000) : null,
        ],
      );
    },
    find: async (id) =>
      first(
        await run(
          'find',
          `select ${columns} from models where id = $1 and model = $2 and ${live}`,
          [id, model],
        ),
      ),
    findByUid: async (uid) =>
      first(
        await run(
          'find_by_uid',
          `select ${columns} from models where uid = $1 and model = $2 and ${live}`,
          [uid, model],
        ),
      ),
    findByUserCode: async (code) =>
      first(
        await run(
          'find_by_code',
          `select ${columns} from models where user_code = $1 and model = $2 and ${live}`,
          [code, model],
        ),
      ),
    async consume(id) {
      await run('consume', 'update models set consumed_at = now() where id = $1 and model = $2', [
        id,
        model,
      ]);
    },
    async destroy(id) {
      await run('destroy', 'delete from models where id = $1 and model = $2', [id, model]);
    },
    async revokeByGrantId(grantId) {
      await run('revoke', 'delete from models where grant_id = $1', [grantId]);
    },
  });
}
