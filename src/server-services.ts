import { AccountService } from './account/account.service.ts';
import { Limits } from './account/limits.service.ts';
import { Passwords } from './account/passwords.service.ts';
import { RegistrationService } from './account/registration.service.ts';
import { SetupService } from './account/setup.service.ts';
import { AuthenticatorService } from './authenticator/authenticator.service.ts';
import { ClientService } from './client/client.service.ts';
import { lastSeenDocumentClient, updateDocumentClient } from './client/self-registered.service.ts';
import { ClientRegistrationService } from './client-registration/client-registration.service.ts';
import { DocumentHosts } from './client-registration/document-hosts.ts';
import { MetadataDocuments } from './client-registration/documents.service.ts';
import { RefusalCounts } from './audit/refusals.service.ts';
import type { Config } from './config.ts';
import { ConsentService } from './consent/consent.service.ts';
import type { Database } from './db/database.ts';
import { VersionWatch } from './db/versions.ts';
import { ExchangeRules } from './exchange/exchange.service.ts';
import { GatewayService } from './gateway/gateway.service.ts';
import { GatewayRules } from './gateway/rules.service.ts';
import { createRenderer } from './pages/render.ts';
import { issuerPath } from './http/request.ts';
import { IntrospectionService } from './introspection/introspection.service.ts';
import { TrustedIssuers } from './issuer/issuer.service.ts';
import type { Logger } from './lib/log.ts';
import type { Sealer } from './lib/seal.ts';
import { checkClient } from './oidc/check-client.ts';
import { requesterAddress } from './oidc/client-authentication/metadata-documents.ts';
import { ClientKeySets } from './oidc/client-authentication/key-sets.ts';
import { Engine } from './oidc/engine.ts';
import { createEnginePages } from './oidc/engine-pages.ts';
import { KeyService } from './keys/keys.service.ts';
import { openSubjects } from './keys/subject-keys.service.ts';
import { createVerifyJwt } from './oidc/verify-jwt.ts';
import { OutboundAllow } from './outbound/outbound.ts';
import { Outbound } from './outbound/outbound.service.ts';
import { EndedPermissions } from './permission/permission.service.ts';
import { ResourceServerService } from './resource-server/resource-server.service.ts';
import { RevocationFeed } from './revocation/revocation.service.ts';

export interface Surroundings {
  readonly config: Config;
  readonly db: Database;
  /** As the role that owns the tables, for retention and the months of the audit; `db` by default. */
  readonly owner?: Database;
  readonly sealer: Sealer;
  readonly logger: Logger;
}

export type Services = Awaited<ReturnType<typeof createServices>>;

/** Every feature, made of those below it: what a server does, before it is said by which requests. */
export async function createServices({ config, db, sealer, logger }: Surroundings) {
  const resourceServers = new ResourceServerService(db);
  await resourceServers.readDetailTypes();
  const outboundAllow = new OutboundAllow(config.outboundAllow);
  const outbound = new Outbound({ allow: outboundAllow });
  const endedPermissions = new EndedPermissions(db);
  await endedPermissions.load();
  const documents = new MetadataDocuments({
    outbound,
    outboundAllow,
    resourceServers,
    hosts: new DocumentHosts(config.clientDocuments),
    check: (said) => checkClient(engine.provider, said),
    count: (host) => limits.consumeDocument(host, requesterAddress()),
    update: async (stored, now) => {
      if (await updateDocumentClient(db, stored, now)) clients.refresh();
    },
    lastSeen: (id) => lastSeenDocumentClient(db.kysely, id),
  });
  const clients: ClientService = new ClientService(db, resourceServers, outboundAllow, documents);
  const keys = new KeyService(db, sealer);
  await keys.ensure();
  const subjects = await openSubjects(db, sealer);
  const passwords = new Passwords({ threadPoolSize: config.threadPoolSize });
  const accounts = new AccountService(db, passwords, sealer, {
    requireSecondFactor: config.requireSecondFactor,
    brandName: config.brand.name,
  });
  const setup = new SetupService(db, accounts, passwords);
  const authenticators = new AuthenticatorService(db, accounts, sealer);
  const consents = new ConsentService(db);
  const registration = new RegistrationService(db, accounts, passwords, sealer);
  const limits = new Limits(db, sealer);
  const refusals = new RefusalCounts(db);
  const renderer = createRenderer({
    name: config.brand.name,
    base: issuerPath(config.issuer),
    brand: config.brand.colors,
  });
  const exchangeRules = new ExchangeRules(db, clients, resourceServers);
  const trustedIssuers = new TrustedIssuers({
    db,
    ownIssuer: config.issuer,
    clients,
    resourceServers,
    outboundAllow,
  });
  const engine = new Engine(
    {
      config,
      clients,
      clientDocuments: {
        enabled: config.clientDocuments.length > 0,
        whyNot: (id) => documents.whyNot(id),
      },
      resourceServers,
      sealer,
      outbound,
      keySets: new ClientKeySets(outbound),
      endedPermissions,
      pages: createEnginePages({ renderer, clients, issuer: config.issuer }),
      introspect: (clientId, token) => introspection.answerById(clientId, token),
      subjects,
      askedPeople: {
        find: (email) => accounts.findByEmail(email),
        count: (clientId, email) => limits.consumeAsking(clientId, email),
      },
      grants: { exchangeRules, trustedIssuers, findLive: (token) => introspection.find(token) },
    },
    keys,
  );
  const verifyJwt = createVerifyJwt({
    issuer: config.issuer,
    keys: () => engine.verificationKeys,
    resourceServers,
  });
  const introspection = new IntrospectionService({
    db,
    issuer: config.issuer,
    clients,
    resourceServers,
    verifyJwt,
    subjects,
    endedPermissions,
  });
  await engine.load();
  const clientRegistration = new ClientRegistrationService({
    db,
    clients,
    resourceServers,
    sealer,
    outboundAllow,
    check: (said) => checkClient(engine.provider, said),
    mode: config.clientRegistration,
    count: (host, address) => limits.consumeDocument(host, address),
    quota: config.clientQuota,
    refusals,
  });

  const rules = new GatewayRules(db, resourceServers);
  const gateway = new GatewayService({
    db,
    clients,
    resourceServers,
    rules,
    introspection,
    refusals,
  });

  const feed = new RevocationFeed({
    db,
    issuer: config.issuer,
    cursorKeys: sealer.deriveEach('revocation cursors'),
    sign: (claims, typ) => engine.sign(claims, typ),
  });

  const watch = new VersionWatch(db);
  watch.on('clients', () => {
    clients.refresh();
    endedPermissions.refresh();
  });
  watch.on('resource_servers', () => {
    resourceServers.refresh();
    // The metadata names what is known of the types of details.
    void resourceServers.readDetailTypes().catch(() => undefined);
    clients.refresh();
    endedPermissions.refresh();
    rules.refresh();
    exchangeRules.refresh();
    trustedIssuers.refresh();
  });
  watch.on('exchange_rules', () => exchangeRules.refresh());
  watch.on('trusted_issuers', () => trustedIssuers.refresh());
  watch.on(
    'keys',
    () =>
      void engine
        .load()
        .catch((err: unknown) => logger.error({ err }, 'the keys could not be read')),
  );
  await watch.start();

  return {
    accounts,
    authenticators,
    clientRegistration,
    clients,
    consents,
    engine,
    feed,
    gateway,
    introspection,
    keys,
    limits,
    outbound,
    passwords,
    refusals,
    registration,
    renderer,
    resourceServers,
    setup,
    subjects,
    verifyJwt,
    watch,
  };
}
