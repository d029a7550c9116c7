import type { FactorGuess } from '../account/limits.service.ts';
import type { Pages } from '../pages/pages.ts';
import { renderPage } from '../pages/render-page.ts';
import { requestOrigin } from '../http/request.ts';
import { currentUnit } from '../unit-of-work/unit-of-work.ts';
import { limited, withinLimits } from './limited.ts';
import type { InteractionParts } from './parts.ts';
import { readCode } from './fields.ts';
import type { SignInState, Steps } from './steps.ts';
import { statusOf, switchUrl, type Visit } from './visit.ts';

type Problem = Pick<Pages['recovery-code'], 'problem' | 'retryAfter'>;
type TotpProblem = Pick<Pages['totp'], 'problem' | 'retryAfter'>;

/**
 * The methods that a code stands for (RFC 8176). A recovery code is a password that works once, so it is `otp` too: what
 * it proves is that the person holds what was given out when the factor was set up.
 */
const proven = ['otp', 'mfa'];

/** The code of an authenticator app, or one of the recovery codes in its place. */
export function createSecondFactorStep(parts: InteractionParts, steps: Steps) {
  async function showTotp(
    { visit, account }: SignInState,
    { problem, retryAfter }: TotpProblem = {},
  ): Promise<void> {
    const [authenticator] = await parts.authenticators.list(account.id);
    const model: Pages['totp'] = {
      action: `${visit.base}/totp`,
      app: visit.app,
      account: { email: account.email, switchUrl: switchUrl(visit) },
      deviceName: authenticator?.label,
      recoveryUrl: `${visit.base}/recovery-code`,
      problem,
      retryAfter,
    };
    renderPage(visit.ctx, parts.renderer, 'totp', model, {
      status: statusOf(visit, { problem, retryAfter }),
      leadsToApp: true,
    });
  }

  async function showRecoveryCode(
    { visit, account }: SignInState,
    { problem, retryAfter }: Problem = {},
  ): Promise<void> {
    const model: Pages['recovery-code'] = {
      action: `${visit.base}/recovery-code`,
      app: visit.app,
      account: { email: account.email, switchUrl: switchUrl(visit) },
      totpUrl: `${visit.base}/totp`,
      problem,
      retryAfter,
    };
    renderPage(visit.ctx, parts.renderer, 'recovery-code', model, {
      status: statusOf(visit, { problem, retryAfter }),
      leadsToApp: true,
    });
  }

  /** Counts the guess before it checks the code, in whichever interaction the guess is made. */
  async function submit<Shown extends TotpProblem>(
    standing: SignInState,
    check: () => Promise<object | undefined>,
    show: (standing: SignInState, problem: Shown | Problem) => Promise<void>,
    wrong: () => Promise<Shown>,
  ): Promise<void> {
    const { visit, account } = standing;
    const guess = factorGuess(parts, standing);
    const refused = {
      type: 'sign_in',
      outcome: 'refused',
      accountId: account.id,
      clientId: visit.client?.id,
    } as const;
    const right = await withinLimits(
      async () => {
        await parts.limits.consumeFactorGuess(guess);
        return check();
      },
      (retryAfter) => {
        currentUnit().auditAlways({ ...refused, reason: 'too_many_attempts' });
        return show(standing, { problem: 'too-many', retryAfter });
      },
    );
    if (right === limited) return;
    if (right === undefined) {
      currentUnit().auditAlways({ ...refused, reason: 'wrong_code' });
      await show(standing, await wrong());
      return;
    }
    await parts.limits.forgiveFactorGuess(guess);
    await steps.goOn(visit, account, { amr: [...new Set([...visit.progress.amr, ...proven])] });
  }

  return {
    totp: (visit: Visit) => steps.at(visit, 'totp', showTotp),
    submitTotp: (visit: Visit, fields: URLSearchParams) =>
      steps.at(visit, 'totp', (standing) => {
        const { id } = standing.account;
        const code = readCode(fields);
        return submit<TotpProblem>(
          standing,
          () => parts.authenticators.verifyTotp(id, code),
          showTotp,
          async () => ({
            problem: (await parts.authenticators.isLateCode(id, code)) ? 'late-code' : 'wrong-code',
          }),
        );
      }),
    recoveryCode: (visit: Visit) => steps.at(visit, 'totp', showRecoveryCode),
    submitRecoveryCode: (visit: Visit, fields: URLSearchParams) =>
      steps.at(visit, 'totp', (standing) =>
        submit(
          standing,
          () =>
            parts.authenticators.useRecoveryCode(
              standing.account.id,
              readCode(fields),
              requestOrigin(visit.ctx),
            ),
          showRecoveryCode,
          () => Promise.resolve({ problem: 'wrong-code' }),
        ),
      ),
  };
}

/** The account whose second factor is guessed at, and the device if the account has signed in on it before. */
export function factorGuess(parts: InteractionParts, { visit, account }: SignInState): FactorGuess {
  return {
    accountId: account.id,
    address: visit.ctx.state.address as string,
    knownDevice: parts.devices.find(visit.ctx, account.emailKey),
  };
}
