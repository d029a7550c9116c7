import Provider, {
  type Adapter,
  type AdapterPayload,
  errors,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import type { ClientService } from '../../client/client.service.ts';
import { randomToken, sha256 } from '../../lib/hash.ts';
import type { Sealer } from '../../lib/seal.ts';
import { epochSeconds, fromEpoch } from '../../lib/time.ts';
import { askMail } from '../decoupled/ciba-mail.ts';
import { pingWrite } from '../decoupled/ciba-ping.ts';
import {
  type AskedRequest,
  handlePrefix,
  isHandle,
  type NewPolledRequest,
  type PolledKind,
  type PolledRead,
  polledKinds,
} from '../../unit-of-work/polled-requests.ts';
import { openSecrets, sealSecrets, userCodeMac } from '../decoupled/secrets.ts';
import { judgedExp } from './expiry.ts';
import type { Payload } from '../../unit-of-work/records.ts';
import { codeGrace } from './repetitions.ts';
import { currentRoute } from './unsupported.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

/**
 * The storage of requests that are polled for. The token endpoint finds one by what the program holds, of which only a hash
 * is stored; the pages on which it is answered find it by a name of ours, and always as a device code: a person answers both
 * kinds by the engine's device flow.
 */
export function polledAdapter(
  kind: PolledKind,
  clients: ClientService,
  sealer: Sealer,
): Partial<Adapter> {
  return {
    find(id) {
      if (currentRoute() === 'token') return findPolled(kind, id, clients);
      return Promise.resolve(isHandle(id) ? findAsked(id) : undefined);
    },
    async upsert(id, payload) {
      if (isHandle(id)) await answer(id, payload, clients, sealer);
      else if (kind === 'device') addDeviceRequest(id, payload, sealer);
      else addCibaRequest(id, payload, sealer);
    },
    async consume(id) {
      currentUnit().polled.consume(id);
    },
    revokeByGrantId: async () => undefined,
  };
}

const oidc = () => (Provider.ctx as KoaContextWithOIDC).oidc;

async function findPolled(
  kind: PolledKind,
  id: string,
  clients: ClientService,
): Promise<AdapterPayload | undefined> {
  if (!id.startsWith(polledKinds[kind].prefix)) return undefined;
  const unit = currentUnit();
  const clientId = oidc().client?.clientId as string;
  const read = await unit.pollRequest({ idHash: sha256(id), kind, clientId });
  if (read === undefined) return undefined;
  if (read.consumedAge !== undefined && read.grantId !== undefined) {
    if (read.consumedAge > (await codeGrace({ clients }, clientId))) {
      unit.killFamily(read.grantId, 'code_replayed');
      return undefined;
    }
    // Within the grace it looks unused; the commit decides.
    unit.noteRepetition(read);
  }
  if (read.isEarly) throw new errors.SlowDown();
  return { ...payloadOf(read, kind), jti: id };
}

function payloadOf(read: PolledRead, kind: PolledKind): AdapterPayload {
  return {
    ...read.payload,
    ...read.answer,
    kind: polledKinds[kind].model,
    clientId: read.clientId,
    iat: epochSeconds(read.createdAt),
    exp: judgedExp(epochSeconds(read.expiresAt), read.expired),
  };
}

/** The request as the engine's device flow takes it; one that is answered looks used. */
async function findAsked(id: string): Promise<AdapterPayload | undefined> {
  const request = await currentUnit().polled.find(id);
  if (request === undefined) return undefined;
  return {
    params: request.payload.params,
    ...(request.isPending ? {} : { error: 'access_denied' }),
    kind: polledKinds.device.model,
    jti: id,
    clientId: request.clientId,
    iat: epochSeconds(request.createdAt),
    exp: judgedExp(epochSeconds(request.expiresAt), request.expired),
  } as AdapterPayload;
}

function newRequest(
  kind: PolledKind,
  token: string,
  { clientId, exp }: AdapterPayload,
): Pick<NewPolledRequest, 'id' | 'kind' | 'idHash' | 'clientId' | 'expiresAt'> {
  return {
    id: `${handlePrefix}${randomToken(16)}`,
    kind,
    idHash: sha256(token),
    clientId: clientId as string,
    expiresAt: fromEpoch(exp as number),
  };
}

/** What is not needed again, or must not lie about. RFC 8628 knows no hint of who the person is. */
const notKept = ['client_notification_token', 'id_token_hint', 'login_hint_token', 'user_code'];

/** A client that signs its request, or authenticates by assertion, need not name itself among the parameters. */
function keptOf(params: unknown, clientId: string): Payload {
  const kept = Object.entries((params ?? {}) as Payload).filter(
    ([name]) => !notKept.includes(name),
  );
  return { ...Object.fromEntries(kept), client_id: clientId };
}

function addDeviceRequest(token: string, payload: AdapterPayload, sealer: Sealer): void {
  const request = newRequest('device', token, payload);
  const userCode = payload.userCode as string;
  currentUnit().polled.add({
    ...request,
    userCodeMac: userCodeMac(sealer, userCode),
    linkHash: undefined,
    accountId: undefined,
    payload: { params: keptOf(payload.params, request.clientId), deviceInfo: payload.deviceInfo },
    secretsSealed: sealSecrets(sealer, request.id, { userCode }),
  });
}

function addCibaRequest(token: string, payload: AdapterPayload, sealer: Sealer): void {
  const request = newRequest('ciba', token, payload);
  const unit = currentUnit();
  const {
    params = {},
    claims,
    nonce,
    resource,
    scope,
  } = payload as Payload & {
    params?: Payload;
  };
  const notification = params.client_notification_token;
  const accountId = unit.findKnownAccount(payload.accountId as string)?.id;
  const link = randomToken(32);
  unit.polled.add({
    ...request,
    userCodeMac: undefined,
    linkHash: sha256(link),
    accountId,
    payload: { params: keptOf(params, request.clientId), claims, nonce, resource, scope },
    secretsSealed:
      typeof notification === 'string'
        ? sealSecrets(sealer, request.id, { ping: { authReqId: token, token: notification } })
        : undefined,
  });
  // The same row for an address that nobody here has: what it takes tells nothing.
  unit.addOutbox(askMail(sealer, { requestId: request.id, link }));
  unit.audit({
    type: 'ciba.requested',
    outcome: accountId === undefined ? 'refused' : 'success',
    reason: accountId === undefined ? 'unknown_account' : undefined,
    accountId,
    clientId: request.clientId,
  });
}

/** What ends a request for good; what else goes wrong on the way to an answer can be tried again until it expires. */
const final = new Set(['access_denied', 'unmet_authentication_requirements']);

/** What the engine keeps of an answer. */
const answered = [
  'accountId',
  'acr',
  'amr',
  'authTime',
  'claims',
  'grantId',
  'scope',
  'sessionUid',
  'expiresWithSession',
  'resource',
  'sid',
  'rar',
] as const;

async function answer(
  id: string,
  payload: AdapterPayload,
  clients: ClientService,
  sealer: Sealer,
): Promise<void> {
  const unit = currentUnit();
  const request = await unit.polled.find(id);
  const accountId = oidc().session?.accountId;
  // Somebody else's browser decides nothing.
  if (request === undefined || (request.kind === 'ciba' && accountId !== request.accountId)) return;
  const isApproved = payload.error === undefined && payload.grantId !== undefined;
  if (!isApproved && !final.has(payload.error as string)) return;
  const grantId = isApproved ? (payload.grantId as string) : undefined;
  unit.polled.answer({
    id,
    state: isApproved ? 'approved' : 'denied',
    accountId,
    grantId,
    sessionUid: isApproved && payload.expiresWithSession ? payload.sessionUid : undefined,
    answer: isApproved
      ? Object.fromEntries(answered.map((name) => [name, payload[name]]))
      : { error: payload.error, errorDescription: payload.errorDescription },
  });
  await queuePing(request, clients, sealer);
}

/** Whether it was approved or denied, a client that is to be told is told (CIBA Core, section 10.2). */
async function queuePing(
  request: AskedRequest,
  clients: ClientService,
  sealer: Sealer,
): Promise<void> {
  const client = await clients.find(request.clientId);
  if (client?.metadata.backchannel_token_delivery_mode !== 'ping') return;
  const { ping } = openSecrets(sealer, request);
  if (ping === undefined) return;
  const until = request.expiresAt.toISOString();
  currentUnit().addOutbox(pingWrite(sealer, { clientId: client.id, ...ping, until }));
}
