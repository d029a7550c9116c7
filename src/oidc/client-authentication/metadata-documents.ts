import Provider, { type Configuration, errors } from 'oidc-provider';
import type { Context } from 'koa';

type Feature = NonNullable<NonNullable<Configuration['features']>['clientIdMetadataDocument']>;

/** What there is to know of clients with a metadata document. */
export interface MetadataDocumentOptions {
  readonly enabled: boolean;
  /** Why the document at this address counts for nothing, in words for who publishes it. */
  readonly whyNot: (id: string) => string | undefined;
}

/**
 * The engine tells of the feature, and is never let to fetch a document: it would rebuild the client for each request, keep
 * a hundred of them in memory, and know nothing of rows. Ours are found before it asks (src/client-registration); what comes
 * here was not.
 */
export function createClientDocuments({ enabled, whyNot }: MetadataDocumentOptions): Feature {
  return {
    enabled,
    ack: 'draft-02',
    allowFetch: async (_ctx, id) => {
      throw new errors.InvalidClient(whyNot(id) ?? 'client is invalid');
    },
  };
}

/** The network address of whoever has sent the request that is under way, in the engine. */
export function requesterAddress(): string | undefined {
  const { address } = (Provider.ctx as Context | undefined)?.state ?? {};
  return typeof address === 'string' ? address : undefined;
}
