import { errors, type default as Provider } from 'oidc-provider';
import { type Client, defaultSettings } from '../client/client.ts';
import { AppError } from '../errors.ts';
import { clientMetadata } from './adapter/clients.ts';

/**
 * Whether the engine could work with a client that nobody here has seen: better asked now than found when it is used.
 * @throws AppError `invalid_client_metadata`
 */
export function checkClient(
  provider: Provider,
  { name, metadata, settings }: Pick<Client, 'metadata' | 'name'> & { readonly settings: object },
): void {
  const client = { id: 'c_unknown', name, metadata, settings: { ...defaultSettings, ...settings } };
  try {
    // It is only built; nothing is fetched, and nobody finds it.
    new (provider.Client as unknown as new (metadata: object) => unknown)(
      clientMetadata(client as Client),
    );
  } catch (error) {
    if (!(error instanceof errors.OIDCProviderError)) throw error;
    throw new AppError('invalid_client_metadata', error.error_description ?? error.message, {
      status: 400,
      cause: error,
    });
  }
}
