import type { Account } from '../account/account.ts';
import { acr, rankOf } from '../oidc/authorization/acr.ts';
import type { Pages } from '../pages/pages.ts';
import { finishSignIn } from './finish.ts';
import type { InteractionParts } from './parts.ts';
import { isSigningIn, type Progress } from './progress.ts';
import { advance, redirect, type Visit } from './visit.ts';

/** The pages of a sign-in after the password, by the names of their paths. */
export type Step = 'verify' | 'totp' | 'enrol' | 'recovery-codes';

type EnrolReason = NonNullable<Pages['totp-enrol']['reason']>;

/** Whether the request itself asks for two factors. */
function isWanted({ interaction }: Visit): boolean {
  const wanted = interaction.prompt.details.acr;
  return typeof wanted === 'string' && rankOf(wanted) >= rankOf(acr.twoFactors);
}

/** A visit in which the password was accepted. */
export interface SignInState {
  readonly visit: Visit;
  readonly account: Account;
}

/** What comes next in a sign-in is decided anew each time, from what the account has now and what the progress has proven. */
export class Steps {
  readonly #parts: InteractionParts;

  constructor(parts: InteractionParts) {
    this.#parts = parts;
  }

  /** Whose password is done in this interaction, unless the account was disabled since. */
  async account({ progress }: Visit): Promise<Account | undefined> {
    if (!isSigningIn(progress)) return undefined;
    const account = await this.#parts.accounts.find(progress.accountId);
    return account?.disabled ? undefined : account;
  }

  /** Runs `work` if the sign-in stands at the step; shows where it stands otherwise, so that no step is skipped or taken twice. */
  async at(
    visit: Visit,
    step: Step,
    work: (standing: SignInState) => Promise<void>,
  ): Promise<void> {
    const account = await this.account(visit);
    const isThere =
      account !== undefined && (await this.missing(visit, account, visit.progress)) === step;
    if (isThere) await work({ visit, account });
    else redirect(visit.ctx, visit.base);
  }

  /** The step that is still to be done, or undefined where all is proven. */
  async missing(
    visit: Visit,
    account: Account,
    { amr, codes }: Pick<Progress, 'amr' | 'codes'>,
    hasSecondFactor?: boolean,
  ): Promise<Step | undefined> {
    if (codes !== undefined) return 'recovery-codes';
    if (!account.emailVerified) return 'verify';
    if (amr.includes('otp')) return undefined;
    if (hasSecondFactor ?? (await this.#parts.authenticators.hasSecondFactor(account.id)))
      return 'totp';
    return this.#isSecondFactorRequired(visit, account) ? 'enrol' : undefined;
  }

  /**
   * Takes over what was just proven, and goes on: to the next step, or out of the interaction.
   * @param hasSecondFactor as read in this request; looked up where it was not.
   */
  async goOn(
    visit: Visit,
    account: Account,
    change: Partial<Progress>,
    hasSecondFactor?: boolean,
  ): Promise<void> {
    const progress = { ...visit.progress, ...change };
    const missing = await this.missing(visit, account, progress, hasSecondFactor);
    if (missing === undefined) {
      await finishSignIn(visit, account, progress.amr, this.#parts);
      return;
    }
    await advance(visit, change);
    redirect(visit.ctx, `${visit.base}/${missing}`);
  }

  /** Why the account needs a second factor for this request; undefined where the user asked for it on the account's page. */
  enrolReason(visit: Visit, account: Account): EnrolReason | undefined {
    if (account.admin) return 'administrator';
    if (this.#parts.config.requireSecondFactor === 'everyone') return 'everyone';
    return isWanted(visit) && visit.app !== undefined ? 'app' : undefined;
  }

  #isSecondFactorRequired(visit: Visit, account: Account): boolean {
    return isWanted(visit) || this.enrolReason(visit, account) !== undefined;
  }
}
