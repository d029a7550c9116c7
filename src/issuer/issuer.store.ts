import type { Db } from '../db/database.ts';
import type { NewIssuer, TrustedIssuer, TrustedSubject } from './issuer.ts';

/** Every issuer with its subjects, by name. */
export async function listIssuers(db: Db): Promise<TrustedIssuer[]> {
  const [issuers, subjects] = [
    await db.selectFrom('trusted_issuers').selectAll().orderBy('issuer').execute(),
    await db
      .selectFrom('trusted_subjects as s')
      .innerJoin('resource_servers as r', 'r.id', 's.resource_server_id')
      .select([
        's.id',
        's.issuer_id as issuerId',
        's.subject',
        's.client_id as clientId',
        'r.identifier as api',
        's.scopes',
        's.public',
      ])
      .orderBy('s.subject')
      .orderBy('s.id')
      .execute(),
  ];
  return issuers.map((row) => ({
    id: row.id,
    issuer: row.issuer,
    jwks: row.jwks ?? undefined,
    jwksUri: row.jwks_uri ?? undefined,
    algs: row.algs,
    maxLife: row.max_life,
    reusable: row.reusable,
    subjects: subjects
      .filter(({ issuerId }) => issuerId === row.id)
      .map(({ id, subject, clientId, api, scopes, public: isPublic }) => ({
        id,
        subject,
        clientId,
        api,
        scopes,
        public: isPublic,
      })),
  }));
}

export async function insertIssuer(db: Db, id: string, input: NewIssuer): Promise<void> {
  await db
    .insertInto('trusted_issuers')
    .values({
      id,
      issuer: input.issuer,
      jwks: input.jwks === undefined ? null : JSON.stringify(input.jwks),
      jwks_uri: input.jwksUri ?? null,
      algs: [...input.algs],
      max_life: input.maxLife,
      reusable: input.reusable,
    })
    .execute();
}

/** Deletes the issuer with its subjects; gives its id, or undefined where there is none. */
export async function deleteIssuer(db: Db, issuer: string): Promise<string | undefined> {
  const row = await db
    .deleteFrom('trusted_issuers')
    .where('issuer', '=', issuer)
    .returning('id')
    .executeTakeFirst();
  return row?.id;
}

/** The issuer by its name, held until the transaction ends. */
export async function lockIssuer(db: Db, issuer: string): Promise<string | undefined> {
  const row = await db
    .selectFrom('trusted_issuers')
    .select('id')
    .where('issuer', '=', issuer)
    .forUpdate()
    .executeTakeFirst();
  return row?.id;
}

/** Writes the subject in place of the same one for the same client and API; gives its id, which is that one's then. */
export async function putSubject(
  db: Db,
  issuerId: string,
  { id, subject, clientId, scopes, public: isPublic }: TrustedSubject,
  resourceServerId: string,
): Promise<string> {
  const changes = { scopes: [...scopes], public: isPublic };
  const row = await db
    .insertInto('trusted_subjects')
    .values({
      id,
      issuer_id: issuerId,
      subject,
      client_id: clientId,
      resource_server_id: resourceServerId,
      ...changes,
    })
    .onConflict((conflict) =>
      conflict
        .columns(['issuer_id', 'subject', 'client_id', 'resource_server_id'])
        .doUpdateSet(changes),
    )
    .returning('id')
    .executeTakeFirstOrThrow();
  return row.id;
}

/** Deletes a subject, and gives whose it was. */
export async function deleteSubject(db: Db, id: string): Promise<string | undefined> {
  const row = await db
    .deleteFrom('trusted_subjects')
    .where('id', '=', id)
    .returning('client_id')
    .executeTakeFirst();
  return row?.client_id;
}
