import {
  type Account as EngineAccount,
  type Configuration,
  errors,
  type KoaContextWithOIDC,
} from 'oidc-provider';
import type { Account } from '../../account/account.ts';
import { AppError } from '../../errors.ts';
import { tooMany } from '../too-many.ts';
import { POLL_INTERVAL } from '../../unit-of-work/polled-requests.ts';
import { useRequestUp } from '../authorization/request-objects.ts';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

type Ciba = NonNullable<NonNullable<Configuration['features']>['ciba']>;

/** Who may be asked, and how often. */
export interface AskedPeople {
  find(email: string): Promise<Account | undefined>;
  /**
   * Counts a mail to an address.
   * @throws AppError `too_many_attempts` (429)
   */
  count(clientId: string, email: string): Promise<void>;
}

/** Seconds in which an answer is waited for: unless told, at the least, and at the most (CIBA Core, section 7.1). */
const EXPIRY = { usual: 300, least: 30, most: 900 };

/** Stands for an email address without an account: the request is accepted like any other, and never answered. */
const nobody = 'nobody';

/**
 * OpenID Connect Client-Initiated Backchannel Authentication Core 1.0, with poll and ping. A person is named by an e-mail
 * address or an ID token of the client's. Who has an account is not told: an address without one gets the same answer, in
 * the same time, and the request waits until it expires.
 */
export function createCiba(people: AskedPeople): Ciba {
  return {
    enabled: true,
    deliveryModes: ['poll', 'ping'],
    async processLoginHint(_ctx, hint = '') {
      const account = await people.find(hint);
      if (account === undefined || account.disabled || !account.emailVerified) return nobody;
      currentUnit().rememberAccount(account);
      return account.id;
    },
    async processLoginHintToken() {
      throw new errors.InvalidRequest('login_hint_token is not supported, use login_hint');
    },
    async validateBindingMessage(_ctx, message) {
      if (message !== undefined && !isFitToShow(message))
        throw new errors.InvalidBindingMessage(
          'the binding_message must be at most 64 letters, digits, spaces and plain signs of punctuation, without addresses of pages',
        );
    },
    async validateRequestContext(_ctx, context) {
      if (context !== undefined)
        throw new errors.InvalidRequest('request_context is not supported');
    },
    /** The first that is called once it is known who is meant; user codes themselves are off. */
    async verifyUserCode(ctx, account) {
      await useRequestUp(ctx);
      await countRequest(ctx, account.accountId, people);
    },
    triggerAuthenticationDevice(ctx) {
      // The mail is in the commit: see `addCibaRequest`.
      Object.assign(ctx.body as object, { interval: POLL_INTERVAL });
    },
  };
}

/** An account for who has none, as far as the engine has to believe in it. */
export function accountOfNobody(ctx: unknown, id: string): EngineAccount | undefined {
  const isAsked =
    (ctx as KoaContextWithOIDC).oidc.route === 'backchannel_authentication' && id === nobody;
  return isAsked ? { accountId: nobody, claims: async () => ({ sub: nobody }) } : undefined;
}

/** Nobody is flooded: by one client or by all of them; whether or not there is somebody. */
async function countRequest(
  ctx: KoaContextWithOIDC,
  accountId: string,
  people: AskedPeople,
): Promise<void> {
  const email =
    currentUnit().findKnownAccount(accountId)?.email ?? String(ctx.oidc.params?.login_hint);
  try {
    await people.count(ctx.oidc.client?.clientId as string, email);
  } catch (error) {
    if (error instanceof AppError && error.status === 429) throw tooMany(ctx, error.retryAfter);
    throw error;
  }
}

/** Seconds until a request expires: what the client asks for, within bounds. */
export function cibaTtl(_ctx: unknown, request: { readonly params?: unknown }): number {
  const { requested_expiry: asked } = (request.params ?? {}) as { requested_expiry?: string };
  if (asked === undefined) return EXPIRY.usual;
  return Math.min(EXPIRY.most, Math.max(EXPIRY.least, Number(asked)));
}

/** Characters, as a person counts them. */
const LONGEST_MESSAGE = 64;

/**
 * Whether a message may stand on our page, between two of our sentences: short, without what hides or turns the text around
 * it, and without what a reader would follow somewhere.
 */
function isFitToShow(message: string): boolean {
  return (
    Array.from(message).length <= LONGEST_MESSAGE &&
    /^[\p{L}\p{N}][\p{L}\p{M}\p{N}\p{Sc} .,:;!?'"()#%&*+/=_-]*$/u.test(message) &&
    !/:\/\/|www\./i.test(message)
  );
}
