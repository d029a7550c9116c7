import type { Account } from '../account/account.ts';
import { acr, rankOf } from '../oidc/acr.ts';
import { finishSignIn } from './finish.ts';
import type { InteractionParts } from './parts.ts';
import type { Progress } from './progress.ts';
import { advance, redirect, type Visit } from './visit.ts';

/** The pages of a sign-in after the password, by the names of their paths. */
export type Step = 'verify' | 'totp' | 'enrol' | 'recovery-codes';

/** What comes next in a sign-in is always decided anew, from what the account has now and what the progress has proven. */
export class Steps {
  readonly #parts: InteractionParts;

  constructor(parts: InteractionParts) {
    this.#parts = parts;
  }

  /** The step that is still to be done, or undefined where all is proven. */
  async missing(
    visit: Visit,
    account: Account,
    { amr, codes }: Pick<Progress, 'amr' | 'codes'>,
  ): Promise<Step | undefined> {
    if (codes !== undefined) return 'recovery-codes';
    if (!account.emailVerified) return 'verify';
    if (amr.includes('otp')) return undefined;
    if (await this.#parts.authenticators.hasSecondFactor(account.id)) return 'totp';
    return this.#isSecondFactorRequired(visit, account) ? 'enrol' : undefined;
  }

  /** Takes over what was just proven, and goes on: to the next step, or out of the interaction. */
  async goOn(visit: Visit, account: Account, change: Partial<Progress>): Promise<void> {
    const progress = { ...visit.progress, ...change };
    const missing = await this.missing(visit, account, progress);
    if (missing === undefined) {
      await finishSignIn(visit, account, progress.amr, this.#parts);
      return;
    }
    await advance(visit, change);
    redirect(visit.ctx, visit.base);
  }

  #isSecondFactorRequired({ interaction }: Visit, account: Account): boolean {
    const wanted = interaction.prompt.details.acr;
    return (
      this.#parts.config.requireSecondFactor === 'everyone' ||
      account.admin ||
      rankOf(typeof wanted === 'string' ? wanted : undefined) >= rankOf(acr.twoFactors)
    );
  }
}
