import { interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import { currentUnit } from '../../unit-of-work/unit-of-work.ts';

const { Check } = interactionPolicy;

/** What a sign-in is asked for, where somebody else's will not do. */
export const ASKED_ACCOUNT = 'asked_account';

/** Of CIBA only the account that is asked may answer, whoever else is signed in here. */
export function askedAccount(): interactionPolicy.Check {
  return new Check(
    ASKED_ACCOUNT,
    'the person who was asked is not signed in',
    'login_required',
    async ({ oidc }: KoaContextWithOIDC) => {
      if (oidc.route !== 'device_resume') return false;
      const request = await currentUnit().polled.find(oidc.deviceCode?.jti as string);
      return request?.kind === 'ciba' && request.accountId !== oidc.session?.accountId;
    },
  );
}

/** What reason a person is asked for an answer to a program that polls. */
export const CONFIRM_REQUEST = 'confirm_request';

/**
 * The user who has the code or the link may not be the owner of the program (RFC 8628, section 5.4), so the user is asked
 * each time, whatever was allowed before.
 */
export function confirmRequest(): interactionPolicy.Check {
  return new Check(
    CONFIRM_REQUEST,
    'what a program asks for elsewhere is asked each time',
    'consent_required',
    ({ oidc }: KoaContextWithOIDC) =>
      oidc.route === 'device_resume' && oidc.result?.consent === undefined,
  );
}
