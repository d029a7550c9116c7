import { type Client, hasSecret } from '../client/client.ts';
import type { ClientService } from '../client/client.service.ts';

/**
 * The client that authenticates with its secret, in the header or in the form as it likes; undefined for everybody else:
 * who they are, and what is wrong, is for the engine to say.
 */
export async function authenticateBySecret(
  clients: ClientService,
  { clientId, clientSecret }: { readonly clientId: string; readonly clientSecret: string },
): Promise<Client | undefined> {
  const client = await clients.find(clientId);
  if (client === undefined || client.disabled || !hasSecret(client.metadata)) return undefined;
  return clients.verifySecret(client, clientSecret) ? client : undefined;
}
