/** What RFC 7591 calls a client's metadata, by its own names. */
export type Metadata = Readonly<Record<string, unknown>>;

/** Whether the client has nothing to authenticate with: anybody can pretend to be it. */
export function isPublic({ token_endpoint_auth_method: method }: Metadata): boolean {
  return method === 'none';
}
