import { randomBytes } from 'node:crypto';
import { saveLink } from '../../src/account/link.store.ts';
import { Limits } from '../../src/account/limits.service.ts';
import type { Database } from '../../src/db/database.ts';
import { mailWrite } from '../../src/email/email.service.ts';
import { Sealer } from '../../src/lib/seal.ts';
import { insertOutbox } from '../../src/outbox/outbox.service.ts';
import {
  type Credentials,
  exchange,
  post,
  refresh,
  revoke,
  Seed,
  SignedInBrowser,
} from '../support/protocol.ts';
import { api, benchmarkMasterKey, type Credentials as Machine, jwtApi } from './protocol.ts';
import { ServiceLoad } from './storage-load-services.ts';

/**
 * The load of a minute, always the same: a little of everything over HTTP in turn, as clients and browsers send it, and
 * much of what matters for size by services (see storage-load-services.ts).
 */

/** What is issued in a minute by the services. */
export interface Rates {
  readonly machineTokens: number;
  readonly families: number;
  readonly refreshes: number;
}

interface Chain {
  readonly client: Credentials;
  /** Of a session for one client: its chains live and die together. */
  readonly family: string;
  used: string | undefined;
  /** The step of the last refresh: within its grace a repetition is no replay. */
  refreshedIn?: number;
  refreshToken: string;
}

const MOST_CHAINS = 40;
const scope = 'openid offline_access read';
const nobody = new SignedInBrowser('', new Map());

export class ConstantLoad {
  readonly #db: Database;
  readonly #url: string;
  readonly #seed: Seed;
  readonly #services: ServiceLoad;
  readonly #limits: Limits;
  readonly #sealer = new Sealer([benchmarkMasterKey]);
  readonly #machines: readonly Machine[];
  readonly #apps: readonly Credentials[];
  readonly #accounts: readonly string[];
  #chains: Chain[] = [];
  #browser: SignedInBrowser | undefined;
  #minutes = 0;
  /** Of three minutes each. */
  #steps = 0;
  #requests = 0;

  constructor(
    db: Database,
    url: string,
    who: {
      machines: readonly Machine[];
      apps: readonly Credentials[];
      accounts: readonly string[];
    },
    rates: Rates,
  ) {
    this.#db = db;
    this.#url = url;
    this.#seed = new Seed(db);
    this.#machines = who.machines;
    this.#apps = who.apps;
    this.#accounts = who.accounts;
    this.#limits = new Limits(db, this.#sealer);
    this.#services = new ServiceLoad(db, who, rates);
  }

  /** A token that outlives the benchmark. */
  issueForever(clientId: string): Promise<string> {
    return this.#services.issueForever(clientId);
  }

  /** Requests that were answered over HTTP so far. */
  get requests(): number {
    return this.#requests;
  }

  /** @throws Error where an answer was not the right one */
  async minute(): Promise<void> {
    const turn = this.#minutes++ % 3;
    if (turn === 0) this.#steps++;
    await Promise.all([
      this.#services.minute(),
      turn === 0 ? this.#people() : turn === 1 ? this.#machine() : this.#strangers(),
    ]);
  }

  #expect(what: string, status: number, expected: number): void {
    this.#requests++;
    if (status !== expected) throw new Error(`${what}: ${status} and not ${expected}`);
  }

  /** Single sign-on, a code, its tokens, refreshes, a revocation now and then, a replay now and then. */
  async #people(): Promise<void> {
    const client = pick(this.#apps, this.#steps);
    const browser = await this.#signedIn();
    const resource = this.#steps % 2 === 0 ? api : jwtApi;
    const code = await browser.authorize(this.#url, client, { scope, resource });
    this.#requests++;
    const { status, body } = await exchange(this.#url, client, code, { resource });
    this.#expect('code exchange', status, 200);
    const family = `${browser.sessionUid} ${client.clientId}`;
    this.#chains.push({ client, family, used: undefined, refreshToken: body.refresh_token });
    if (this.#chains.length > MOST_CHAINS) this.#chains.shift();
    for (let i = 0; i < 2; i++) await this.#refresh(pick(this.#chains, this.#steps * 2 + i));
    const [oldest] = this.#chains;
    if (oldest?.used === undefined || oldest.refreshedIn === this.#steps) return;
    if (this.#steps % 10 === 0) {
      const answer = await revoke(this.#url, oldest.client, oldest.refreshToken);
      this.#expect('revocation', answer.status, 200);
    } else if (this.#steps % 10 === 5) {
      const answer = await refresh(this.#url, oldest.client, oldest.used);
      this.#expect('replay', answer.status, 400);
    } else return;
    this.#chains = this.#chains.filter(({ family: one }) => one !== oldest.family);
  }

  async #refresh(chain: Chain): Promise<void> {
    const { status, body } = await refresh(this.#url, chain.client, chain.refreshToken);
    this.#expect('refresh', status, 200);
    chain.used = chain.refreshToken;
    chain.refreshToken = body.refresh_token;
    chain.refreshedIn = this.#steps;
  }

  /** Once in twenty steps another person signs in, and the one before signs out. */
  async #signedIn(): Promise<SignedInBrowser> {
    if (this.#browser !== undefined && this.#steps % 20 !== 0) return this.#browser;
    const before = this.#browser?.sessionUid;
    if (before !== undefined) await this.#services.endSession(before);
    this.#browser = await this.#seed.signIn(pick(this.#accounts, this.#steps));
    return this.#browser;
  }

  async #machine(): Promise<void> {
    const grant = { grant_type: 'client_credentials', scope: 'read' };
    const client = pick(this.#machines, this.#steps);
    for (const resource of [api, api, jwtApi]) {
      const { status, body } = await post(this.#url, '/token', client, { ...grant, resource });
      this.#expect('client credentials', status, 200);
      if (resource === jwtApi)
        this.#expect(
          'revocation',
          (await revoke(this.#url, client, body.access_token)).status,
          200,
        );
    }
  }

  /** An authorization request that nobody goes on with, passwords that are guessed, and a registration. */
  async #strangers(): Promise<void> {
    const { response } = await nobody.ask(this.#url, pick(this.#apps, this.#steps));
    nobody.cookies.clear();
    this.#expect('authorization request', response.status, 303);
    for (let i = 0; i < 3; i++) {
      const account = `${randomBytes(8).toString('hex')}@example.com`;
      const address = randomBytes(4).join('.');
      await this.#limits.consumePasswordGuess({ account, address, knownDevice: undefined });
    }
    const to = `${randomBytes(8).toString('hex')}@example.com`;
    await saveLink(
      this.#db.kysely,
      {
        idHash: randomBytes(32),
        tokenHash: randomBytes(32),
        purpose: 'register',
        email: to,
        codeMac: randomBytes(32),
        payloadSealed: randomBytes(400),
        ttlSeconds: 86_400,
      },
      60,
    );
    await insertOutbox(
      this.#db.kysely,
      mailWrite(this.#sealer, { template: 'registration_attempt', to }),
    );
  }
}

function pick<T>(from: readonly T[], index: number): T {
  return from[index % from.length] as T;
}
