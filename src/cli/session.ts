import { AccountService } from '../account/account.service.ts';
import { Passwords } from '../account/passwords.service.ts';
import { SetupService } from '../account/setup.service.ts';
import { AuthenticatorService } from '../authenticator/authenticator.service.ts';
import { ClientService } from '../client/client.service.ts';
import { type Config, loadConfig } from '../config.ts';
import type { Database } from '../db/database.ts';
import { type OpenedDatabase, openDatabase } from '../db/open.ts';
import { AppError } from '../errors.ts';
import { ExchangeRules } from '../exchange/exchange.service.ts';
import { TrustedIssuers } from '../issuer/issuer.service.ts';
import type { Sealer } from '../lib/seal.ts';
import { issuerOf } from '../instance.ts';
import { openSealer } from '../master-key.ts';
import { OutboundAllow } from '../outbound/outbound.ts';
import { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { invocation } from './invocation.ts';

/** The actor in the audit for everything done here. */
export const actor = 'cli';

/** What a command works with: opened on first use, and closed at the end. */
export class Session {
  readonly #warn: (message: string) => void;
  #config: Config | undefined;
  #opened: OpenedDatabase | undefined;
  #sealer: Sealer | undefined;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** @throws AppError `config_invalid` */
  get config(): Config {
    this.#config ??= loadConfig();
    return this.#config;
  }

  /** The database in its current state, migrated or not. */
  async opened(): Promise<OpenedDatabase> {
    this.#opened ??= await openDatabase({ ...this.config, databasePool: 2 });
    return this.#opened;
  }

  /**
   * The database with every migration applied. The embedded one, which belongs to this release, is migrated here; a database
   * that other processes may be using is changed only by `migrate up`.
   * @throws AppError `migrations_pending`
   */
  async db(): Promise<Database> {
    const opened = await this.opened();
    if (opened.embedded) {
      await opened.migrate();
      return opened.db;
    }
    const pending = await opened.pendingMigrations();
    if (pending.length > 0) {
      throw new AppError(
        'migrations_pending',
        `The database is older than this release: ${pending.join(', ')} ${pending.length === 1 ? 'is' : 'are'} missing. Run: ${invocation} migrate up`,
      );
    }
    return opened.db;
  }

  /** @throws AppError `issuer_changed` */
  async issuer(): Promise<string> {
    return issuerOf(await this.db(), this.config);
  }

  async sealer(): Promise<Sealer> {
    this.#sealer ??= await openSealer({
      config: this.config,
      db: await this.db(),
      warn: this.#warn,
    });
    return this.#sealer;
  }

  async resourceServers(): Promise<ResourceServerService> {
    return new ResourceServerService(await this.db());
  }

  async clients(): Promise<ClientService> {
    return new ClientService(
      await this.db(),
      await this.resourceServers(),
      new OutboundAllow(this.config.outboundAllow),
    );
  }

  async exchangeRules(): Promise<ExchangeRules> {
    return new ExchangeRules(await this.db(), await this.clients(), await this.resourceServers());
  }

  async trustedIssuers(): Promise<TrustedIssuers> {
    const outboundAllow = new OutboundAllow(this.config.outboundAllow);
    return new TrustedIssuers({
      db: await this.db(),
      ownIssuer: await this.issuer(),
      clients: await this.clients(),
      resourceServers: await this.resourceServers(),
      outboundAllow,
    });
  }

  /** Accounts, and the services around them. */
  async people() {
    const db = await this.db();
    const sealer = await this.sealer();
    const { requireSecondFactor, brand } = this.config;
    const passwords = new Passwords();
    const accounts = new AccountService(db, passwords, sealer, {
      requireSecondFactor,
      brandName: brand.name,
    });
    return {
      passwords,
      accounts,
      authenticators: new AuthenticatorService(db, accounts, sealer),
      setup: new SetupService(db, accounts, passwords),
    };
  }

  async close(): Promise<void> {
    await this.#opened?.db.close();
  }
}
