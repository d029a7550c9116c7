import { hash } from 'node:crypto';
import Provider, { type Client, type KoaContextWithOIDC } from 'oidc-provider';
import type { Jwk } from '../../client/client.ts';
import { clientCertificate } from '../../http/client-certificate.ts';
import type { ClientKeySets } from './key-sets.ts';

/** Where the engine keeps the keys of a client: what it calls of it. */
interface EngineKeyStore extends Iterable<Jwk> {
  selectForVerify(options: object): Jwk[];
  selectForEncrypt(options: object): Jwk[];
  fresh(): boolean;
  refresh(): Promise<void>;
  clear(): void;
  add(key: Jwk): void;
}

interface EngineClient {
  readonly jwksUri: string | undefined;
  readonly asymmetricKeyStore: EngineKeyStore;
}

const ours = new WeakSet<EngineKeyStore>();
/** Requests with something that no known key fits: one asks once, whatever it holds. */
const wanting = new WeakSet<object>();
const asking = new WeakSet<object>();

/** Where there is none, nothing is verified: what is encrypted to a key leaves by the outbox, too. */
const request = (): object => Provider.ctx ?? {};

/**
 * The engine verifies with what it has, and where that fails and is not `fresh`, refreshes and verifies once more. Its own
 * store asks again for each signature while a host is away, and for a minute at the least does not see a new key; this one
 * goes by what is known for all requests.
 */
export function useKeySets(client: Client, sets: ClientKeySets): void {
  const { jwksUri: uri, asymmetricKeyStore: store } = client as unknown as EngineClient;
  if (uri === undefined || ours.has(store)) return;
  ours.add(store);
  let loaded: readonly Jwk[] = [];
  const load = () => {
    const found = sets.find(uri) ?? [];
    if (found === loaded) return;
    store.clear();
    // A copy: the engine notes in it what it makes of it.
    for (const key of found) store.add({ ...key });
    loaded = found;
  };
  const select = store.selectForVerify.bind(store);
  store.selectForVerify = (options) => {
    load();
    // None at all: then the engine refreshes before it verifies.
    return sets.isCurrent(uri) || store.fresh() ? select(options) : [];
  };
  store.fresh = () => {
    if (asking.has(request()) || !sets.mayAsk(uri)) return true;
    wanting.add(request());
    return false;
  };
  store.refresh = async () => {
    load();
    if (!sets.isCurrent(uri) || wanting.has(request()) || showsOtherCertificate(client, store)) {
      asking.add(request());
      await sets.ask(uri);
      load();
    }
  };
}

/** Of a client that is known by its certificate, one that is not among those known. */
function showsOtherCertificate({ clientAuthMethod }: Client, store: EngineKeyStore): boolean {
  const ctx = Provider.ctx as KoaContextWithOIDC | undefined;
  if (clientAuthMethod !== 'self_signed_tls_client_auth' || ctx === undefined) return false;
  const shown = clientCertificate(ctx)?.certificate.raw;
  if (shown === undefined) return false;
  const thumbprint = hash('sha256', shown, 'base64url');
  return ![...store].some((key) => key['x5t#S256'] === thumbprint);
}
