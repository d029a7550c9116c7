/** What an API tells of itself (RFC 9728, section 2), beside what the server of it knows. */
export interface ResourceDescription {
  readonly scopes?: readonly string[] | undefined;
  /** For people. */
  readonly name?: string | undefined;
  readonly documentation?: string | undefined;
  readonly policy?: string | undefined;
  readonly termsOfService?: string | undefined;
}

export interface ResourceFacts {
  readonly resource: string;
  readonly issuer: string;
  readonly dpopAlgorithms: readonly string[] | undefined;
  readonly dpopRequired: boolean;
  readonly mtls: boolean;
}

/** The document, in the names of the wire. */
export type ResourceMetadata = Readonly<Record<string, string | boolean | readonly string[]>>;

export function describeResource(
  { resource, issuer, dpopAlgorithms, dpopRequired, mtls }: ResourceFacts,
  { scopes, name, documentation, policy, termsOfService }: ResourceDescription,
): ResourceMetadata {
  const members = {
    resource,
    authorization_servers: [issuer],
    scopes_supported: scopes,
    bearer_methods_supported: ['header'],
    resource_name: name,
    resource_documentation: documentation,
    resource_policy_uri: policy,
    resource_tos_uri: termsOfService,
    dpop_signing_alg_values_supported: dpopAlgorithms,
    dpop_bound_access_tokens_required: dpopRequired || undefined,
    tls_client_certificate_bound_access_tokens: mtls || undefined,
  };
  return Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined),
  ) as ResourceMetadata;
}

/**
 * Where the metadata of a resource stands (RFC 9728, section 3.1); undefined where its identifier is no web address
 * that could have one.
 */
export function metadataUrl(resource: string): URL | undefined {
  if (!URL.canParse(resource)) return undefined;
  const { origin, protocol, pathname, search } = new URL(resource);
  if (!/^https?:$/.test(protocol)) return undefined;
  const path = pathname === '/' ? '' : pathname;
  return new URL(`${origin}/.well-known/oauth-protected-resource${path}${search}`);
}
