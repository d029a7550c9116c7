import type { Config } from './config.ts';
import type { Database } from './db/database.ts';
import { AppError } from './errors.ts';

const issuerKey = 'issuer';

/** An issuer that nobody has set: it follows from PORT, and moves with it. */
const derived = /^http:\/\/localhost:\d+$/;

type IssuerConfig = Pick<Config, 'issuer' | 'issuerIsSet'>;

/** The issuer that this database belongs to; undefined until a server has run on it. */
export async function findIssuer({ kysely }: Database): Promise<string | undefined> {
  const row = await kysely
    .selectFrom('instance')
    .select('value')
    .where('key', '=', issuerKey)
    .executeTakeFirst();
  return row?.value;
}

/**
 * The issuer for links and checks: the database's own where there is one, so that a command needs no ISSUER.
 * @throws AppError `issuer_changed` where ISSUER is set to another one.
 */
export async function issuerOf(db: Database, config: IssuerConfig): Promise<string> {
  const stored = await findIssuer(db);
  if (stored === undefined || stored === config.issuer) return config.issuer;
  if (config.issuerIsSet) throw changed(stored, config.issuer);
  return stored;
}

/**
 * Checks, before the server listens, that its issuer is the database's.
 * @throws AppError `issuer_changed`
 */
export async function checkIssuer(db: Database, config: IssuerConfig): Promise<void> {
  const stored = await findIssuer(db);
  if (stored !== undefined && !isSame(stored, config)) throw changed(stored, config.issuer);
}

/**
 * Stores the issuer of a server that listens. Of several that start at once on an empty database, the first decides.
 * @throws AppError `issuer_changed`
 */
export async function claimIssuer(db: Database, config: IssuerConfig): Promise<void> {
  await db.kysely
    .insertInto('instance')
    .values({ key: issuerKey, value: config.issuer })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await checkIssuer(db, config);
  if ((await findIssuer(db)) !== config.issuer) await setIssuer(db, config.issuer);
}

/** From the next start on, this is the issuer. */
export async function setIssuer({ kysely }: Database, issuer: string): Promise<void> {
  await kysely
    .insertInto('instance')
    .values({ key: issuerKey, value: issuer })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: issuer }))
    .execute();
}

function isSame(stored: string, { issuer, issuerIsSet }: IssuerConfig): boolean {
  return stored === issuer || (!issuerIsSet && derived.test(stored) && derived.test(issuer));
}

function changed(stored: string, wanted: string): AppError {
  return new AppError(
    'issuer_changed',
    `This database belongs to the issuer ${stored}, and ISSUER says ${wanted}. The issuer is in every token and in every client's configuration, so it does not change by itself. Set ISSUER=${stored}. If you are moving to ${wanted} for good, run: npm run -s cli -- instance set-issuer --issuer ${wanted}`,
  );
}
