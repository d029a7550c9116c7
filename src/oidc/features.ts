import type { Configuration } from 'oidc-provider';
import type { ClientService } from '../client/client.service.ts';
import type { Sealer } from '../lib/seal.ts';
import type { ResourceServerService } from '../resource-server/resource-server.service.ts';
import { isFapi } from './client-authentication/assertions.ts';
import { createRichAuthorization } from './authorization/details.ts';
import { type AskedPeople, createCiba } from './decoupled/ciba.ts';
import { limitClaimsParameter } from './authorization/claims-parameter.ts';
import { createDeviceFlow } from './decoupled/device.ts';
import {
  type MetadataDocumentOptions,
  createClientDocuments,
} from './client-authentication/metadata-documents.ts';
import { createDpop } from './client-authentication/dpop.ts';
import type { EnginePages } from './engine-pages.ts';
import type { LiveToken } from '../unit-of-work/live-token.ts';
import { mutualTls } from './client-authentication/mtls.ts';
import { checkRequestObject } from './authorization/request-objects.ts';
import { createResourceIndicators } from './authorization/resources.ts';
import type { Subjects } from '../unit-of-work/subjects.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';

export interface FeatureOptions {
  readonly clientDocuments: MetadataDocumentOptions;
  readonly clients: ClientService;
  readonly resourceServers: ResourceServerService;
  readonly sealer: Sealer;
  readonly pages: EnginePages;
  readonly introspect: Introspect;
  readonly subjects: Subjects;
  readonly askedPeople: AskedPeople;
}

/** What an authenticated client is told of a token; undefined stands for one that is not live. */
export type Introspect = (
  clientId: string,
  token: LiveToken | undefined,
) => Promise<Readonly<Record<string, unknown>>>;

/** What the engine does of what it can, and our policy for each. */
export function createFeatures({
  clientDocuments,
  clients,
  resourceServers,
  sealer,
  pages,
  introspect,
  subjects,
  askedPeople,
}: FeatureOptions): NonNullable<Configuration['features']> {
  return {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    claimsParameter: { enabled: true, assertClaimsParameter: limitClaimsParameter },
    dPoP: createDpop(sealer),
    mTLS: mutualTls,
    pushedAuthorizationRequests: { enabled: true },
    // By value alone, signed with a key of the client's: no request of ours to a host that a request names.
    requestObjects: { enabled: true, assertJwtClaimsAndHeader: checkRequestObject },
    jwtResponseModes: { enabled: true },
    fapi: {
      enabled: true,
      profile: (_ctx, client) => (isFapi(client) ? '2.0' : undefined),
    },
    introspection: {
      enabled: true,
      // The answer is ours (src/introspection): the engine is told no, and leaves it as it is.
      allowedPolicy: async (ctx, { clientId }) => {
        const token = await currentUnit().findLiveToken(String(ctx.oidc.params?.token), subjects);
        ctx.body = await introspect(clientId, token);
        return false;
      },
    },
    // RFC 9701: an introspection answer that is signed, and encrypted where the caller has a key for it.
    jwtIntrospection: { enabled: true },
    encryption: { enabled: true },
    revocation: {
      enabled: true,
      allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId,
    },
    userinfo: { enabled: true },
    jwtUserinfo: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) =>
        pages.signOut(ctx, { action: attribute(form, 'action'), xsrf: attribute(form, 'value') }),
      postLogoutSuccessSource: (ctx) => pages.signedOut(ctx),
    },
    // Keys that sign no more are known to it by their public part alone (key-material.ts).
    externalSigningSupport: { enabled: true, ack: 'experimental-01' },
    backchannelLogout: { enabled: true },
    clientIdMetadataDocument: createClientDocuments(clientDocuments),
    deviceFlow: createDeviceFlow(pages.requests),
    ciba: createCiba(askedPeople),
    resourceIndicators: createResourceIndicators(clients, resourceServers),
    richAuthorizationRequests: createRichAuthorization(clients, resourceServers),
  };
}

/** The value of an attribute in the form that the engine hands over; it holds nothing that was sent by anybody. */
function attribute(form: string, name: string): string {
  return new RegExp(`${name}="([^"]*)"`).exec(form)?.[1] ?? '';
}
