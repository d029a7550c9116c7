import { randomBytes } from 'node:crypto';
import type { Database } from '../../src/db/database.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { epochSeconds, fromEpoch } from '../../src/lib/time.ts';
import { tokenWrite } from '../../src/oidc/adapter/tokens.ts';
import { prefixes } from '../../src/unit-of-work/live-token.ts';
import type { Payload } from '../../src/unit-of-work/records.ts';
import { signOut } from '../../src/session/session.service.ts';
import { UnitOfWork } from '../../src/unit-of-work/unit-of-work.ts';
import { api, benchmarkMasterKey, type Credentials } from './protocol.ts';
import type { Rates } from './storage-load.ts';

/**
 * The part of the load that HTTP would take too long for: the same units of work commit the same statements, and only the
 * engine before them is left out; machines' tokens go fifty to a commit.
 */

const HOUR = 3_600;
const DAY = 86_400;
const TOGETHER = 50;
/** A family refreshes once an hour, and is left alone after so many. */
const CHAINS = 200;

interface Chain {
  readonly grantId: string;
  readonly accountId: string;
  readonly clientId: string;
  readonly end: number;
  refreshToken: string;
}

export class ServiceLoad {
  readonly #db: Database;
  readonly #clientIds: readonly string[];
  readonly #accounts: readonly string[];
  readonly #rates: Rates;
  readonly #keyId = new Sealer([benchmarkMasterKey]).keyId;
  readonly #chains: Chain[] = [];
  readonly #sessions: string[] = [];
  #count = 0;

  constructor(
    db: Database,
    { machines, accounts }: { machines: readonly Credentials[]; accounts: readonly string[] },
    rates: Rates,
  ) {
    this.#db = db;
    this.#clientIds = machines.map(({ clientId }) => clientId);
    this.#accounts = accounts;
    this.#rates = rates;
  }

  async minute(): Promise<void> {
    const machines = Math.ceil(this.#rates.machineTokens / TOGETHER);
    await Promise.all([
      ...times(machines, () => this.#issueToMachines()),
      ...times(this.#rates.families, () => this.#startFamily()),
      ...this.#take(this.#rates.refreshes).map((chain) => this.#refresh(chain)),
      this.#signIn(),
      ...times(10, () => this.#useId()),
    ]);
  }

  /** One a minute; every other one signs out after an hour, the others are forgotten. */
  async #signIn(): Promise<void> {
    const uid = randomBytes(16).toString('base64url');
    const clientId = this.#next(this.#clientIds);
    const unit = new UnitOfWork(this.#db);
    unit.saveSession({
      uid,
      id: randomBytes(32).toString('base64url'),
      exists: false,
      readOnly: false,
      signIn: true,
      loadedIdHash: Buffer.alloc(0),
      accountId: this.#next(this.#accounts),
      payload: { loginTs: epochSeconds(), amr: ['pwd'], acr: 'urn:vouchsafe:acr:1fa' },
      expiresAt: fromEpoch(epochSeconds() + 14 * DAY),
      clients: { [clientId]: { sid: randomBytes(16).toString('base64url') } },
      removedClients: [],
    });
    await commit(unit);
    this.#sessions.push(uid);
    if (this.#sessions.length > 60) {
      const [oldest] = this.#sessions.splice(0, 2);
      if (oldest !== undefined) await this.endSession(oldest);
    }
  }

  async endSession(uid: string): Promise<void> {
    const unit = new UnitOfWork(this.#db);
    unit.endSession((db) => signOut(db, uid));
    await commit(unit);
  }

  /** What a DPoP proof leaves behind: see replays.ts. */
  async #useId(): Promise<void> {
    // Within the minute they come at any second.
    const expires_at = fromEpoch(epochSeconds() + 360 - Math.floor(Math.random() * 60));
    await this.#db.kysely
      .insertInto('replays')
      .values({ id_hash: randomBytes(32), expires_at })
      .execute();
  }

  /** Issues tokens that outlive the benchmark. */
  async issueForever(clientId: string): Promise<string> {
    const unit = new UnitOfWork(this.#db);
    const token = this.#addMachineToken(unit, clientId, 60 * DAY);
    await commit(unit);
    return token;
  }

  async #issueToMachines(): Promise<void> {
    const unit = new UnitOfWork(this.#db);
    for (let i = 0; i < TOGETHER; i++)
      this.#addMachineToken(unit, this.#next(this.#clientIds), HOUR);
    await commit(unit);
  }

  #addMachineToken(unit: UnitOfWork, clientId: string, seconds: number): string {
    const iat = epochSeconds();
    const exp = iat + seconds;
    const payload = {
      iat,
      exp,
      clientId,
      kind: 'ClientCredentials',
      aud: api,
      scope: 'read',
      extra: {},
    };
    return add(unit, 'machine', payload);
  }

  /** What an authorization request and the exchange of its code leave behind. */
  async #startFamily(): Promise<void> {
    const accountId = this.#next(this.#accounts);
    const clientId = this.#next(this.#clientIds);
    const grantId = randomBytes(16).toString('base64url');
    const iat = epochSeconds();
    // Every other one is of a client whose families end within the week.
    const end = iat + (this.#count % 2 === 0 ? DAY : 14 * DAY);
    const authorized = new UnitOfWork(this.#db, { address: '192.0.2.7', userAgent: 'benchmark' });
    authorized.saveFamily({
      id: grantId,
      exists: false,
      accountId,
      clientId,
      sessionUid: undefined,
      consentVersion: undefined,
      payload: {
        openid: { scope: 'openid offline_access' },
        resources: { [api]: 'read' },
        rejected: {},
      },
      offline: true,
      keyId: this.#keyId,
      expiresAt: fromEpoch(end),
    });
    authorized.audit({ type: 'family.started', outcome: 'success', accountId, clientId, grantId });
    const of = { accountId, clientId, grantId };
    const code = add(authorized, 'code', {
      ...this.#given(of, iat, iat + 60),
      kind: 'AuthorizationCode',
      codeChallenge: randomBytes(32).toString('base64url'),
      codeChallengeMethod: 'S256',
      redirectUri: 'https://app.example.com/callback',
    });
    await commit(authorized);
    const exchanged = new UnitOfWork(this.#db);
    exchanged.consumeToken(code, 0);
    const chain: Chain = { ...of, end, refreshToken: '' };
    this.#addPair(exchanged, chain);
    await commit(exchanged);
    this.#chains.push(chain);
    if (this.#chains.length > CHAINS) this.#chains.shift();
  }

  async #refresh(chain: Chain): Promise<void> {
    const unit = new UnitOfWork(this.#db);
    unit.consumeToken(chain.refreshToken, 5);
    this.#addPair(unit, chain);
    await commit(unit);
  }

  #addPair(unit: UnitOfWork, chain: Chain): void {
    const iat = epochSeconds();
    const given = (exp: number) => this.#given(chain, iat, exp);
    const access = given(iat + HOUR);
    add(unit, 'access', {
      ...access,
      kind: 'AccessToken',
      aud: api,
      extra: { acr: access.acr, auth_time: iat },
    });
    chain.refreshToken = add(unit, 'refresh', {
      ...given(chain.end),
      kind: 'RefreshToken',
      rotations: 1,
      iiat: iat,
    });
  }

  /** What the engine writes into each token of a person. */
  #given(of: { accountId: string; clientId: string; grantId: string }, iat: number, exp: number) {
    const { accountId, clientId, grantId } = of;
    return {
      iat,
      exp,
      accountId,
      clientId,
      grantId,
      acr: 'urn:vouchsafe:acr:1fa',
      amr: ['pwd'],
      authTime: iat,
      gty: 'authorization_code',
      nonce: 'n-0S6_WzA2Mj',
      resource: api,
      scope: 'openid offline_access read',
      sessionUid: 'YjPqVVEa1ev9gUhSYJlTQ',
      sid: 'S9LRk0bS2bFJlT3lPqVVE',
    };
  }

  /** Those that are due next. */
  #take(count: number): Chain[] {
    const due = this.#chains.splice(0, count);
    this.#chains.push(...due);
    return due.filter(({ end }) => end > epochSeconds());
  }

  #next<T>(from: readonly T[]): T {
    return from[this.#count++ % from.length] as T;
  }
}

type Opaque = keyof typeof prefixes;

function add(
  unit: UnitOfWork,
  kind: Opaque,
  payload: Payload & { clientId: string; exp: number },
): string {
  const token = `${prefixes[kind]}${randomBytes(32).toString('base64url')}`;
  unit.addToken({ ...tokenWrite(kind, token, payload), payload });
  return token;
}

async function commit(unit: UnitOfWork): Promise<void> {
  const { lost } = await unit.commit(true);
  if (lost !== undefined) throw new Error(`a commit was lost: ${lost}`);
}

const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);
